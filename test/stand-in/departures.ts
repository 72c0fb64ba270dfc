import type { Exchange } from '../support/mesos-recordings.js';

/** An intentional difference from the replies of Apache Mesos 1.3.2. */
export interface Departure {
  /** First cell of its row in the table of `docs/reference/stand-in.md`. */
  readonly subject: string;
  readonly file: RegExp;
  readonly title: RegExp;
  /** Status of the stand-in, if different. */
  readonly status?: number;
  /** The text, which is not JSON, differs. */
  readonly text?: true;
  /** Paths (see `shapeOf`) only in the real reply. */
  readonly missing?: RegExp;
  /** Paths only in the stand-in's reply. */
  readonly added?: RegExp;
}

export const departures: readonly Departure[] = [
  {
    subject: '`/state`, `/version`, `GET_VERSION`',
    file: /^(master-endpoints|operator-api|outage|agent-endpoints)/,
    title: /GET_VERSION$|(GET|POST) (\/slave\(1\)|\/master)?\/(state(\.json|\?jsonp=cb)?|version)$/,
    added: /^(\.get_version\.version_info)?\.stand_in: boolean$/,
  },
  {
    subject: '`/metrics/snapshot` of a master, `GET_METRICS`',
    file: /^(master-endpoints|operator-api)/,
    title: /GET \/metrics\/snapshot$/,
    missing: /^\.(allocator\/|registrar\/(state_|registry_)|master\/event_queue_)/,
  },
  { subject: 'Page at `/`', file: /^master-endpoints/, title: /GET \/$/, text: true },
  {
    subject: '`LIST_FILES`, `READ_FILE`',
    file: /^operator-api/,
    title: /^(LIST_FILES|READ_FILE)$/,
    status: 501,
  },
  {
    subject: '`/metrics/snapshot` of an agent',
    file: /^agent-endpoints/,
    title: /^GET \/metrics\/snapshot$/,
    missing:
      /^\.(containerizer\/|slave\/(container_|executor_|executors_(?!running)|invalid_|valid_|recovery_))/,
  },
  {
    subject: 'Tasks that have ended',
    file: /^agent-endpoints/,
    title: /\/state$|GET_(STATE|FRAMEWORKS|EXECUTORS|TASKS)$/,
    missing: /\.completed_(frameworks|executors|tasks)\[\]/,
    added: /\.completed_frameworks: \[\]$/,
  },
  {
    subject: 'Use of CPU and memory by tasks',
    file: /^agent-endpoints/,
    title: /GET (\/slave\(1\))?\/containers$|GET_CONTAINERS$/,
    missing: /\.(resource_)?statistics\./,
  },
  {
    subject: '`/monitor/statistics` and `/files/debug` of an agent',
    file: /^agent-endpoints/,
    title: /\/monitor\/statistics$|\/files\/debug$/,
    status: 404,
  },
];

export function departuresOf({ file, title }: Exchange): Departure[] {
  return departures.filter((departure) => departure.file.test(file) && departure.title.test(title));
}
