/** Every workflow of Perijove, under its name in `temporal/contract.ts`. */
export { deploy } from './deploy.js';
export { drill } from './drill.js';
export { framework } from './framework.js';
export { host } from './host.js';
export { keeper } from './keeper.js';
export { notify } from './notify.js';
export { recovery } from './recovery.js';
export { teardown } from './teardown.js';
