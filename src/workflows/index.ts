/** Every workflow of Perijove, by the name that `temporal/contract.ts` gives it. */
export { deploy } from './deploy.js';
export { drill } from './drill.js';
export { framework } from './framework.js';
export { host } from './host.js';
export { keeper } from './keeper.js';
export { teardown } from './teardown.js';
