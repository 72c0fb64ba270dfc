// Imports point one way, from the later rows of this list to the earlier ones. The folders of one row know each other
// only where no circle comes of it.
const layers = [
  ['errors'],
  ['cluster'],
  ['net'],
  ['ssh'],
  ['hosts'],
  ['zookeeper', 'etcd', 'jupyter', 'network', 'storage', 'mesos', 'node', 'proxy'],
  ['deployment', 'keeper', 'drill', 'elections'],
  ['temporal', 'status'],
  ['activities'],
  ['workflows'],
  ['worker'],
  ['lab', 'ui'],
  ['cli'],
];
const folders = (rows) => `^src/(${rows.flat().join('|')})/`;
const belowTemporal = layers.slice(
  0,
  layers.findIndex((row) => row.includes('temporal')),
);

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    ...layers.slice(0, -1).map((row, index) => ({
      name: `${row.join('-')}-know-nothing-above`,
      severity: 'error',
      from: { path: folders([row]) },
      to: { path: folders(layers.slice(index + 1)) },
    })),
    {
      name: 'a-folder-for-each-layer',
      comment: 'Every file of src lies in a folder of the list above, or is the stand-in.',
      severity: 'error',
      from: {},
      to: { path: '^src/', pathNot: `${folders(layers)}|^src/stand-in/` },
    },
    {
      name: 'subjects-know-no-temporal',
      severity: 'error',
      from: { path: folders(belowTemporal) },
      to: { path: 'node_modules/@temporalio' },
    },
    {
      name: 'the-stand-in-ships-only-by-name',
      comment: 'The product deploys the stand-in as a program file; no other code imports it.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/stand-in/' },
      to: { path: '^src/stand-in/' },
    },
    {
      name: 'the-stand-in-stands-alone',
      severity: 'error',
      from: { path: '^src/stand-in/' },
      to: { path: folders(layers.slice(layers.findIndex((row) => row.includes('deployment')))) },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
