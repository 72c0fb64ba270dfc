import { stageNames, type StageName } from '../../deployment/stages.js';
import { agents } from './agents.js';
import { etcd } from './etcd.js';
import { framework } from './framework.js';
import { image } from './image.js';
import { install } from './install.js';
import { keeper } from './keeper.js';
import { masters } from './masters.js';
import { network } from './network.js';
import { preflight } from './preflight.js';
import { removal } from './removal.js';
import { secrets } from './secrets.js';
import type { Stage } from './stage.js';
import { storage } from './storage.js';
import { verify } from './verify.js';
import { zookeeper } from './zookeeper.js';

const byName: { readonly [Name in StageName]: Stage & { readonly name: Name } } = {
  preflight,
  secrets,
  install,
  network,
  storage,
  zookeeper,
  masters,
  agents,
  image,
  framework,
  etcd,
  keeper,
  removal,
  verify,
};

/** The stages of a deployment, in order. */
export const stages: readonly Stage[] = stageNames.map((name) => byName[name]);
