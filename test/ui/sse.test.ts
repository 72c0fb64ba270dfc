import { expect, it } from 'vitest';
import { encoded } from '../../src/ui/sse.js';

it('writes an event with its ID on lines of their own', () => {
  expect(encoded({ id: 'a-1', event: 'view', data: { a: 1 } })).toBe(
    'id: a-1\nevent: view\ndata: {"a":1}\n\n',
  );
});

it('keeps line ends of texts out of the lines of the event', () => {
  const text = encoded({ event: 'failed', data: { why: 'one\ntwo\r\n\u2028event: view' } });
  const lines = text.split('\n').slice(0, -2);
  expect(lines).toHaveLength(2);
  expect(JSON.parse((lines[1] ?? '').replace(/^data: /, ''))).toEqual({
    why: 'one\ntwo\r\n\u2028event: view',
  });
});
