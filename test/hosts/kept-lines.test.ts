import { expect, it } from 'vitest';
import { timed } from '../../src/hosts/kept-lines.js';

it('parses the time of each line', () => {
  expect(timed('2026-11-22_09:10:03.05991 I1122 text')).toEqual({
    at: Date.parse('2026-11-22T09:10:03.059Z'),
    text: 'I1122 text',
  });
  expect(timed('2026-11-22T10:10:03+0100 h1 perijove-lab-mesos-master[9]: a: b')).toEqual({
    at: Date.parse('2026-11-22T09:10:03Z'),
    text: 'a: b',
  });
  expect(timed('no time').at).toBeNaN();
});
