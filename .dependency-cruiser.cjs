/**
 * Who may import whom (ARCHITECTURE.md, layers). A layer is a top folder; what is not named here as allowed is refused, so
 * a new folder has to be placed before it can be used. `tools/layers.test.ts` plants violations and sees them refused.
 */

/** Layer → layers it may import, beside itself. */
const layers = {
  core: [],
  proto: ['core'],
  storage: ['core'],
  operations: ['core', 'proto'],
  runtime: ['core'],
  jobmanager: ['core', 'proto', 'storage', 'operations'],
  taskmanager: ['core', 'proto', 'runtime', 'storage', 'operations'],
  client: ['core', 'proto'],
  connectors: [],
};

/** The part of core that a connector, ours or anyone's, is written against. */
const connectorApi = '^core/(connector/|errors\\.ts$|plain-data\\.ts$|failpoint\\.ts$|codec/)';

/** Layers that compose the others; nobody below may import them. */
const compositions = ['cli', 'testing', 'benchmarks', 'cluster-tests', 'tools', 'examples'];

const ownFolders = [...Object.keys(layers), ...compositions];
const tests = '\\.test([.-]support)?\\.ts$';

/** Everything of ours that a layer may not import. */
function layerRule([layer, allowed]) {
  const refused = ownFolders.filter((folder) => folder !== layer && !allowed.includes(folder));
  return {
    name: `layer-${layer}`,
    comment: `${layer} may import ${allowed.length === 0 ? 'no other layer' : allowed.join(', ')}`,
    severity: 'error',
    from: { path: `^${layer}/`, pathNot: tests },
    to: { path: `^(${refused.join('|')})/`, ...(layer === 'connectors' ? { pathNot: connectorApi } : {}) },
  };
}

/** Tests may use what builds test worlds, but production code may not. */
const testsOnly = {
  name: 'no-import-of-tests',
  comment: 'tests are imported by nobody',
  severity: 'error',
  from: { pathNot: tests },
  to: { path: tests },
};

/** A package that only one folder (and perhaps one tool) may know. */
function confined(packageName, folder, tool = '$none') {
  return {
    name: `only-${folder.replaceAll('/', '-')}-imports-${packageName}`,
    comment: `${packageName} is imported in ${folder} only, behind an interface`,
    severity: 'error',
    from: { pathNot: `^(${folder}/|${tool}$)` },
    to: { path: `(^|/)node_modules/${packageName}/` },
  };
}

module.exports = {
  forbidden: [
    ...Object.entries(layers).map(layerRule),
    {
      name: 'compositions-below',
      comment: 'what composes the layers is not part of one',
      severity: 'error',
      from: { path: '^(cli|testing)/', pathNot: tests },
      to: { path: '^(benchmarks|cluster-tests|tools|examples)/' },
    },
    {
      name: 'core-without-io',
      comment: 'core is vocabulary: no I/O. Only hashes of graphs use node:crypto',
      severity: 'error',
      from: { path: '^core/', pathNot: `${tests}|^core/graph/(graph-hash|functions-fingerprint)\\.ts$` },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'wire-types-stay-in-rpc',
      comment: 'generated wire types are decoded and encoded in rpc/ folders; elsewhere plain messages are used',
      severity: 'error',
      from: { pathNot: `(^|/)rpc/|^proto/generated/|^tools/|${tests}` },
      to: { path: '^proto/generated/' },
    },
    {
      name: 'no-cycles',
      comment: 'a cycle means that two files are one, or that a third is missing',
      severity: 'error',
      from: { pathNot: '^proto/generated/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-unresolved',
      comment: 'an import that resolves to nothing',
      severity: 'error',
      from: { pathNot: '^(examples|cluster-tests)/' },
      // hyparquet exports these types to the type checker only, which has found them.
      to: { couldNotResolve: true, pathNot: '^hyparquet/src/types' },
    },
    {
      name: 'no-dev-dependencies-in-the-package',
      comment: 'who installs the package does not get its devDependencies',
      severity: 'error',
      from: {
        path: '^(core|proto|runtime|storage|operations|jobmanager|taskmanager|client|connectors|cli|testing)/',
        pathNot: tests,
      },
      to: {
        dependencyTypes: ['npm-dev'],
        dependencyTypesNot: ['type-only'],
        pathNot: 'node_modules/(@types|esbuild)/',
      },
    },
    testsOnly,
    confined('rocksdb', 'taskmanager/state-host'),
    confined('etcd3', 'jobmanager/etcd'),
    confined('s3mini', 'storage/s3'),
    confined('fastify', 'operations/http'),
    confined('prom-client', 'operations/metrics'),
    confined('pino', 'operations/log'),
    // The simulator is bundled from source, with planted bugs.
    confined('esbuild', 'client/artifact', 'tools/load-simulator.mjs'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|out|coverage|testdata)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json'],
    },
  },
};
