export { packageVersion } from '../worker/release.js';
