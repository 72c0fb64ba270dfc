import { describe, expect, it } from 'vitest';
import { CellRun, type CellEnd } from '../../src/jupyter/cell.js';

/** Feeds frames to a run of a cell; returns the end that the last one brought. */
function play(...messages: readonly [type: string, content: object, parent?: string][]): CellEnd | undefined {
  const cell = new CellRun('6*7', 'session');
  const { header } = cell.request as { header: { msg_id: string } };
  let end: CellEnd | undefined;
  for (const [type, content, parent = header.msg_id] of messages) {
    expect(end).toBeUndefined();
    end = cell.take(
      JSON.stringify({ header: { msg_type: type }, parent_header: { msg_id: parent }, content }),
    );
  }
  return end;
}

const busy = ['status', { execution_state: 'busy' }] as const;
const idle = ['status', { execution_state: 'idle' }] as const;
const replied = ['execute_reply', { status: 'ok' }] as const;
const value = ['execute_result', { data: { 'text/plain': '42', 'text/html': '<b>42</b>' } }] as const;

describe('CellRun', () => {
  it('requests on the shell channel, outside the history', () => {
    expect(new CellRun('6*7', 's').request).toMatchObject({
      channel: 'shell',
      header: { msg_type: 'execute_request', session: 's', version: '5.3' },
      content: { code: '6*7', silent: false, store_history: false, allow_stdin: false },
    });
  });

  it('ends with the value when the kernel has replied and is idle, in either order', () => {
    expect(play([...busy], [...value], [...replied], [...idle])).toEqual({ ok: true, result: '42' });
    expect(play([...busy], [...value], [...idle], [...replied])).toEqual({ ok: true, result: '42' });
  });

  it('ends with an empty text when the cell has no value', () => {
    expect(play([...busy], ['stream', { name: 'stdout', text: 'x' }], [...idle], [...replied])).toEqual({
      ok: true,
      result: '',
    });
  });

  it('ignores messages of other requests', () => {
    expect(
      play(['status', { execution_state: 'idle' }, 'other'], [...replied], [...value], [...idle]),
    ).toEqual({ ok: true, result: '42' });
  });

  it('returns the last line of a traceback, without its colours', () => {
    const traceback = ['----', '\u001b[0;31mZeroDivisionError\u001b[0m: division by zero'];
    expect(
      play(
        ['error', { ename: 'ZeroDivisionError', evalue: 'division by zero', traceback }],
        ['execute_reply', { status: 'error' }],
        [...idle],
      ),
    ).toEqual({ ok: false, lastLine: 'ZeroDivisionError: division by zero' });
  });

  it('fails when the kernel aborts the cell without an error', () => {
    expect(play(['execute_reply', { status: 'aborted' }], [...idle])).toEqual({
      ok: false,
      lastLine: 'the kernel replied aborted',
    });
  });
});
