import { randomUUID } from 'node:crypto';
import * as z from 'zod';

/** How a cell ended. */
export type CellEnd =
  { readonly ok: true; readonly result: string } | { readonly ok: false; readonly lastLine: string };

const messageSchema = z.object({
  header: z.object({ msg_type: z.string() }),
  parent_header: z.object({ msg_id: z.string().optional() }),
  content: z.record(z.string(), z.unknown()),
});

const contents = {
  execute_result: z.object({ data: z.record(z.string(), z.unknown()) }),
  error: z.object({ ename: z.string(), evalue: z.string(), traceback: z.array(z.string()) }),
  status: z.object({ execution_state: z.string() }),
  execute_reply: z.object({ status: z.string() }),
};

// Tracebacks are coloured for terminals.
const colours = /\u001b\[[0-9;]*m/g;

/**
 * One execution in a kernel, in Jupyter's messaging protocol (version 5.3), as JSON frames on
 * jupyter_server's websocket. It has ended when the kernel has both replied and become idle: the two arrive
 * over different channels, in any order, and the value arrives before the latter.
 */
export class CellRun {
  readonly request: object;
  private readonly id = randomUUID();
  private result = '';
  private failure: string | undefined;
  private replied = false;
  private idle = false;

  constructor(code: string, session: string) {
    this.request = {
      channel: 'shell',
      header: {
        msg_id: this.id,
        msg_type: 'execute_request',
        session,
        username: 'perijove',
        version: '5.3',
        date: new Date().toISOString(),
      },
      parent_header: {},
      metadata: {},
      content: {
        code,
        silent: false,
        store_history: false,
        user_expressions: {},
        allow_stdin: false,
        stop_on_error: true,
      },
      buffers: [],
    };
  }

  /** Processes one frame. Returns the end of the cell once it is complete; ignores other messages. */
  take(frame: string): CellEnd | undefined {
    const message = messageSchema.safeParse(JSON.parse(frame));
    if (!message.success || message.data.parent_header.msg_id !== this.id) return undefined;
    const { header, content } = message.data;
    switch (header.msg_type) {
      case 'execute_result': {
        const text = contents.execute_result.parse(content).data['text/plain'];
        if (typeof text === 'string') this.result = text;
        break;
      }
      case 'error': {
        const { ename, evalue, traceback } = contents.error.parse(content);
        const lines = traceback.join('\n').replace(colours, '').trimEnd().split('\n');
        this.failure = lines.at(-1)?.trim() || `${ename}: ${evalue}`;
        break;
      }
      case 'status':
        this.idle ||= contents.status.parse(content).execution_state === 'idle';
        break;
      case 'execute_reply': {
        this.replied = true;
        const { status } = contents.execute_reply.parse(content);
        if (status !== 'ok') this.failure ??= `the kernel replied ${status}`;
        break;
      }
      default:
    }
    if (!this.idle || !this.replied) return undefined;
    return this.failure === undefined
      ? { ok: true, result: this.result }
      : { ok: false, lastLine: this.failure };
  }
}
