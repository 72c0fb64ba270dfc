/** The keeper, and a workflow that runs one activity, for test workers that drive the keeper's activities. */
export { keeper } from '../../src/workflows/keeper.js';
export { callActivity } from './call-workflows.js';
