import { expect, it } from 'vitest';
import { updateUuid, uuidText } from '../../src/stand-in/update-uuid.js';
import { at } from '../support/mesos.js';
import { formatOf } from '../support/mesos-formats.js';
import { recordedStream } from '../support/stand-in-replay.js';

it('has the format of every recorded one, and no two are equal', () => {
  const recorded = recordedStream.map((event) => at(event, 'update', 'status', 'uuid')).filter(Boolean);
  expect(recorded).not.toHaveLength(0);
  const own = Array.from({ length: 100 }, updateUuid);
  for (const uuid of [...recorded, ...own]) expect(formatOf(uuid)).toBe('UUID of version 4 in base64');
  expect(new Set(own).size).toBe(own.length);
});

it('is printed as Mesos prints it', () => {
  const text = '3c8f9253-82b9-4d05-bc2f-4effeda8acb2';
  expect(uuidText(Buffer.from(text.replaceAll('-', ''), 'hex').toString('base64'))).toBe(text);
});
