/** Server-sent events (html.spec.whatwg.org/multipage/server-sent-events.html). Pure. */

export interface ServerEvent {
  /** What a browser sends as `Last-Event-ID` when it connects again. */
  readonly id?: string;
  readonly event: string;
  readonly data: unknown;
}

/** One event on the wire. JSON has no line ends outside of strings, where they are escaped. */
export function encoded({ id, event, data }: ServerEvent): string {
  const lines = [
    ...(id === undefined ? [] : [`id: ${id}`]),
    `event: ${event}`,
    `data: ${JSON.stringify(data)}`,
  ];
  return `${lines.join('\n')}\n\n`;
}

/** Keeps the connection open while nothing happens; browsers ignore it. */
export const heartbeat = ': alive\n\n';

/** How soon a browser connects again. */
export function retryAfter(ms: number): string {
  return `retry: ${ms}\n\n`;
}
