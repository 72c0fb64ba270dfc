/** The words of the page, in its two languages. What the cluster itself reports is English. */
import type { MomentKind, Outcome, SpanName } from '../timeline.js';
import type { Fact, Health, PartKind } from '../topology.js';
import type { Phase } from '../../status/cluster-status.js';

export const languages = { en: 'English', zh: '中文' } as const;
export type Language = keyof typeof languages;

export interface Words {
  readonly title: (cluster: string) => string;
  readonly phase: Readonly<Record<Phase, string>>;
  readonly health: Readonly<Record<Health, string>>;
  readonly part: Readonly<Record<PartKind, string>>;
  readonly fact: Readonly<Record<Fact['name'], string>>;
  readonly kind: Readonly<Record<MomentKind, string>>;
  readonly outcome: Readonly<Record<Outcome, string>>;
  readonly span: Readonly<Record<SpanName, string>>;
  /** Words of the status, as people read them; those that are absent stay as they are. */
  readonly state: Readonly<Record<string, string>>;
  readonly observed: (age: string) => string;
  readonly ago: (seconds: number) => string;
  readonly connecting: string;
  readonly language: string;
  readonly pages: string;
  readonly leads: string;
  readonly nobody: string;
  readonly unknown: string;
  readonly on: (node: string, host: string) => string;
  readonly generation: (number: number) => string;
  readonly term: (number: number, healthy: number, all: number) => string;
  readonly members: (healthy: number, all: number) => string;
  readonly agents: (registered: number, all: number, version: string) => string;
  readonly standIn: string;
  readonly kernels: (count: number) => string;
  readonly kernelsTitle: string;
  readonly kernelsOn: (nodes: number) => string;
  readonly doors: string;
  readonly doorsText: string;
  readonly door: (host: string, port: number) => string;
  readonly leadsTo: (node: string, host: string | null) => string;
  readonly leadsThrough: (host: string) => string;
  readonly leadsNowhere: string;
  readonly leadsUnknown: string;
  readonly notAnswering: string;
  readonly hosts: string;
  readonly nodes: string;
  readonly noNodes: string;
  readonly homeless: string;
  readonly serves: string;
  readonly leadsEtcd: string;
  readonly jupyter: (state: string) => string;
  readonly etcdBad: string;
  readonly cordoned: string;
  readonly log: string;
  readonly open: string;
  readonly workflow: string;
  readonly timeline: string;
  readonly earlier: string;
  readonly later: string;
  readonly now: string;
  readonly nothing: string;
  readonly more: (count: number) => string;
  readonly took: (text: string) => string;
  readonly faults: (count: number) => string;
  readonly silent: {
    readonly page: (since: string) => string;
    readonly closed: string;
    readonly failed: (since: string) => string;
    readonly late: (since: string) => string;
    readonly temporal: (since: string) => string;
    readonly workers: (since: string) => string;
    readonly host: (name: string, since: string) => string;
  };
  readonly foot: (version: string) => string;
}

const en: Words = {
  title: (cluster) => `${cluster} · Perijove`,
  phase: {
    absent: 'not deployed',
    deploying: 'deploying',
    ready: 'ready',
    degraded: 'degraded',
    failed: 'failed',
  },
  health: { leads: 'leads', good: 'healthy', waits: 'waiting', bad: 'faulty', unknown: 'unknown' },
  part: {
    zookeeper: 'ZooKeeper',
    master: 'Mesos master',
    agent: 'Mesos agent',
    proxy: 'Proxy',
    storage: 'Storage',
  },
  fact: {
    version: 'version',
    sequence: 'sequence of its znode',
    leadsSince: 'leads since',
    startedAt: 'started',
    registeredAt: 'registered',
    id: 'ID',
    generation: 'generation',
    pending: 'files to heal',
    task: 'task',
    since: 'since',
    earlier: 'earlier',
    logRecovered: 'log recovered',
    certificate: 'certificate until',
  },
  kind: {
    deployment: 'deployment',
    drill: 'drill',
    move: 'move',
    incident: 'incident',
    etcd: 'etcd',
    mesos: 'Mesos',
    task: 'task',
    operator: 'operator',
  },
  outcome: { running: 'running', good: 'completed', bad: 'faulty' },
  span: { day: 'Day', hour: 'Hour', minute: 'Minute' },
  state: {
    'no-answer': 'no answer',
    'not-serving': 'not serving',
    'standing-by': 'standing by',
    'not-answering': 'not answering',
    TASK_RUNNING: 'running',
    TASK_STAGING: 'staging',
    TASK_STARTING: 'starting',
    TASK_KILLING: 'stopping',
    TASK_LOST: 'lost',
    TASK_FAILED: 'failed',
    TASK_KILLED: 'killed',
    TASK_FINISHED: 'finished',
    TASK_GONE: 'fenced',
    TASK_UNREACHABLE: 'unreachable',
    INTENDED: 'launching',
    ABSENT: 'no task',
  },
  observed: (age) => `observed ${age}`,
  ago: (seconds) => (seconds < 2 ? 'just now' : `${spell(seconds, ' s', ' min', ' h')} ago`),
  connecting: 'Asking the cluster…',
  language: 'Language',
  pages: 'Pages of the parts',
  leads: 'Who leads',
  nobody: 'nobody',
  unknown: 'unknown',
  on: (node, host) => `${node} on ${host}`,
  generation: (number) => `generation ${number}`,
  term: (number, healthy, all) => `term ${number} · ${healthy} of ${all} members`,
  members: (healthy, all) => `${healthy} of ${all} servers`,
  agents: (registered, all, version) => `${version} · ${registered} of ${all} agents`,
  standIn: 'stand-in',
  kernels: (count) => (count === 1 ? '1 kernel' : `${count} kernels`),
  kernelsTitle: 'Kernels',
  kernelsOn: (nodes) => (nodes === 1 ? 'on 1 node' : `on ${nodes} nodes`),
  doors: 'Where port 8888 leads',
  doorsText: 'Users reach Jupyter through any host.',
  door: (host, port) => `${host}:${port}`,
  leadsTo: (node, host) => (host === null ? `leads to ${node}` : `leads to ${node} on ${host}`),
  leadsThrough: (host) => `through ${host}`,
  leadsNowhere: 'leads nowhere',
  leadsUnknown: 'not known where it leads',
  notAnswering: 'no answer there',
  hosts: 'Hosts',
  nodes: 'Nodes',
  noNodes: 'no nodes',
  homeless: 'On no host',
  serves: 'serves',
  leadsEtcd: 'leads etcd',
  jupyter: (state) => `Jupyter ${state}`,
  etcdBad: 'etcd silent',
  cordoned: 'drained',
  log: 'Log',
  open: 'Its page',
  workflow: 'in Temporal',
  timeline: 'Time line',
  earlier: 'Earlier',
  later: 'Later',
  now: 'Now',
  nothing: 'Nothing happened in this time.',
  more: (count) => `${count} more`,
  took: (text) => `took ${text}`,
  faults: (count) => (count === 1 ? '1 problem' : `${count} problems`),
  silent: {
    page: (since) =>
      `Stale since ${since}: this page's server does not answer. It connects again when it does.`,
    closed: 'This page is closed. Open it again with `perijove open status`.',
    failed: (since) => `Stale since ${since}: the cluster cannot be observed.`,
    late: (since) => `Stale since ${since}: the cluster is slow to answer.`,
    temporal: (since) =>
      `Temporal has not answered since ${since}, so the state of the workflows is unknown.`,
    workers: (since) =>
      `No worker has answered since ${since}: the workflows are shown as they were last stored.`,
    host: (name, since) => `${name} has not answered since ${since}.`,
  },
  foot: (version) => `Perijove ${version}`,
};

const zh: Words = {
  title: (cluster) => `${cluster} · Perijove`,
  phase: { absent: '未部署', deploying: '部署中', ready: '就绪', degraded: '降级', failed: '失败' },
  health: { leads: '主导', good: '正常', waits: '等待', bad: '故障', unknown: '未知' },
  part: {
    zookeeper: 'ZooKeeper',
    master: 'Mesos master',
    agent: 'Mesos agent',
    proxy: '代理',
    storage: '存储',
  },
  fact: {
    version: '版本',
    sequence: 'znode 序号',
    leadsSince: '主导自',
    startedAt: '启动于',
    registeredAt: '注册于',
    id: '标识',
    generation: '代次',
    pending: '待修复文件',
    task: '任务',
    since: '自',
    earlier: '先前',
    logRecovered: '日志已恢复',
    certificate: '证书有效至',
  },
  kind: {
    deployment: '部署',
    drill: '演练',
    move: '迁移',
    incident: '事件',
    etcd: 'etcd',
    mesos: 'Mesos',
    task: '任务',
    operator: '运维',
  },
  outcome: { running: '进行中', good: '完成', bad: '故障' },
  span: { day: '一天', hour: '一小时', minute: '一分钟' },
  state: {
    leader: '领导者',
    follower: '跟随者',
    observer: '观察者',
    standalone: '单机',
    'no-answer': '无应答',
    'not-serving': '未服务',
    down: '停止',
    leading: '主导',
    'standing-by': '待命',
    registered: '已注册',
    disconnected: '已断开',
    absent: '不存在',
    unknown: '未知',
    answers: '有应答',
    'not-answering': '无应答',
    online: '在线',
    offline: '离线',
    ready: '就绪',
    starting: '启动中',
    stopping: '停止中',
    stopped: '已停止',
    TASK_RUNNING: '运行中',
    TASK_STAGING: '准备中',
    TASK_STARTING: '启动中',
    TASK_KILLING: '停止中',
    TASK_LOST: '丢失',
    TASK_FAILED: '失败',
    TASK_KILLED: '已终止',
    TASK_FINISHED: '已结束',
    TASK_GONE: '已隔离',
    TASK_UNREACHABLE: '不可达',
    INTENDED: '待启动',
    ABSENT: '无任务',
  },
  observed: (age) => `观测于${age}`,
  ago: (seconds) => (seconds < 2 ? '刚刚' : `${spell(seconds, ' 秒', ' 分钟', ' 小时')}前`),
  connecting: '正在查询集群…',
  language: '语言',
  pages: '各组件的页面',
  leads: '谁在主导',
  nobody: '无',
  unknown: '未知',
  on: (node, host) => `${host} 上的 ${node}`,
  generation: (number) => `第 ${number} 代`,
  term: (number, healthy, all) => `任期 ${number} · ${healthy}/${all} 个成员`,
  members: (healthy, all) => `${healthy}/${all} 台服务器`,
  agents: (registered, all, version) => `${version} · ${registered}/${all} 个 agent`,
  standIn: '替身',
  kernels: (count) => `${count} 个内核`,
  kernelsTitle: '内核',
  kernelsOn: (nodes) => `分布在 ${nodes} 个节点`,
  doors: '8888 端口通向哪里',
  doorsText: '用户经任意主机访问 Jupyter。',
  door: (host, port) => `${host}:${port}`,
  leadsTo: (node, host) => (host === null ? `通向 ${node}` : `通向 ${host} 上的 ${node}`),
  leadsThrough: (host) => `经由 ${host}`,
  leadsNowhere: '没有去向',
  leadsUnknown: '去向未知',
  notAnswering: '那里无应答',
  hosts: '主机',
  nodes: '节点',
  noNodes: '没有节点',
  homeless: '不在任何主机上',
  serves: '服务中',
  leadsEtcd: 'etcd 领导者',
  jupyter: (state) => `Jupyter ${state}`,
  etcdBad: 'etcd 无应答',
  cordoned: '已排空',
  log: '日志',
  open: '页面',
  workflow: '在 Temporal 中',
  timeline: '时间线',
  earlier: '更早',
  later: '更晚',
  now: '现在',
  nothing: '这段时间内没有事情发生。',
  more: (count) => `还有 ${count} 条`,
  took: (text) => `用时 ${text}`,
  faults: (count) => `${count} 个问题`,
  silent: {
    page: (since) => `自 ${since} 起已过时：本页的服务器没有应答，恢复后会自动重连。`,
    closed: '本页已关闭。请用 `perijove open status` 重新打开。',
    failed: (since) => `自 ${since} 起已过时：无法观测集群。`,
    late: (since) => `自 ${since} 起已过时：集群应答缓慢。`,
    temporal: (since) => `Temporal 自 ${since} 起没有应答，工作流的状态未知。`,
    workers: (since) => `自 ${since} 起没有 worker 应答：显示的是工作流最后保存的状态。`,
    host: (name, since) => `${name} 自 ${since} 起没有应答。`,
  },
  foot: (version) => `Perijove ${version}`,
};

export const words: Readonly<Record<Language, Words>> = { en, zh };

function spell(seconds: number, s: string, min: string, h: string): string {
  if (seconds < 90) return `${Math.round(seconds)}${s}`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)}${min}`;
  return `${Math.round(seconds / 3_600)}${h}`;
}
