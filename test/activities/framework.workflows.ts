/** The framework, and a workflow that runs one activity. */
export { framework } from '../../src/workflows/framework.js';
export { callActivity } from '../support/call-workflows.js';
