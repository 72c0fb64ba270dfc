export { packageVersion, versionText } from '../worker/release.js';
