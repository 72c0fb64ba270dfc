// What workflows run: their own files and whatever these reach, types apart. All of it is deterministic, so none of it
// may come to Node.js or to a package but Temporal's own, and one that computes hashes and does nothing else. Which files
// that are follows from the imports themselves.
const { options } = require('./.dependency-cruiser.cjs');

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'workflows-are-deterministic',
      severity: 'error',
      from: { path: '^src/workflows/' },
      to: { reachable: true, pathNot: '^src/|node_modules/(@temporalio/(workflow|common)|@noble/hashes)/' },
    },
  ],
  options: { ...options, tsPreCompilationDeps: false },
};
