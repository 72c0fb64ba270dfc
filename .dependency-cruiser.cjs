// Imports point one way:
//   cli -> lab -> temporal contract -> (by name only) workflows -> activities -> subjects -> ssh/hosts
const subjects = '^src/(zookeeper|mesos|etcd|jupyter|proxy|network|storage|node|keeper|drill)/';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'nothing-imports-the-cli',
      severity: 'error',
      from: { pathNot: '^(src/cli/|test/|bench/|bin/)' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'subjects-know-no-temporal',
      severity: 'error',
      from: { path: `${subjects}|^src/(ssh|hosts|spec)/` },
      to: { path: '^src/(workflows|activities|worker|temporal|lab|cli)/|node_modules/@temporalio' },
    },
    {
      name: 'ssh-and-hosts-know-no-subject',
      severity: 'error',
      from: { path: '^src/(ssh|hosts)/' },
      to: { path: subjects },
    },
    {
      name: 'spec-is-pure',
      severity: 'error',
      from: { path: '^src/spec/' },
      to: { path: '^src/(?!spec/|errors/)' },
    },
    {
      name: 'activities-know-no-workflow',
      severity: 'error',
      from: { path: '^src/activities/' },
      to: { path: '^src/(workflows|worker|lab|cli)/' },
    },
    {
      name: 'workflows-are-deterministic',
      comment: 'Workflow code imports types of anything, but values only of pure modules.',
      severity: 'error',
      from: { path: '^src/workflows/' },
      to: {
        path: '.*',
        dependencyTypesNot: ['type-only'],
        pathNot:
          '^src/(workflows/|spec/|errors/|temporal/(contract|options)\\.ts|.*/(decide|preflight|verdict|reconcile|placement|diff|tasks|fences|framework-events|image-plan|plan)\\.ts)|node_modules/@temporalio/(workflow|common)',
      },
    },
    {
      name: 'the-stand-in-ships-only-by-name',
      comment: 'The product deploys the stand-in as a program file; no code outside the lab imports it.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/lab/' },
      to: { path: '^src/lab/mesos/' },
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
