import { describe, expect, it } from 'vitest';
import {
  authorization,
  masterReach,
  parseCredential,
  redirectTarget,
} from '../../../src/mesos/masters/http.js';
import { makeHost, makeSpec } from '../../support/spec.js';

describe('a redirect', () => {
  it.each([
    ['//127.0.0.1:15070/master/api/v1/scheduler', { host: '127.0.0.1', port: 15070 }],
    ['//mesos.example:5050', { host: 'mesos.example', port: 5050 }],
    ['http://10.0.0.1:5050/', { host: '10.0.0.1', port: 5050 }],
  ])('to %s', (location, target) => expect(redirectTarget(location)).toEqual(target));

  it.each([undefined, '', '/login', '//host', 'https://10.0.0.1:5050/', '//host:1x/'])(
    'to %j has no target',
    (location) => expect(redirectTarget(location)).toBeUndefined(),
  );
});

describe('a credential', () => {
  const credential = { principal: 'perijove', secret: 's3cret' };

  it.each(['{"principal":"perijove","secret":"s3cret"}', 'perijove s3cret', 'perijove\ts3cret\n'])(
    '%j',
    (text) => expect(parseCredential(text)).toEqual(credential),
  );

  it.each(['', 'perijove', '{"principal":"perijove"}', '{"principal', 'a b topsecret'])(
    '%j is refused, and never repeated in the message',
    (text) => {
      try {
        parseCredential(text);
        expect.unreachable();
      } catch (error) {
        expect(error).toMatchObject({ code: 'SECRETS_DAMAGED' });
        expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toMatch(/topsecret|b topsecret/);
        expect((error as Error).cause).toBeUndefined();
      }
    },
  );

  it('is sent in a header, if there is one', () => {
    expect(authorization(credential)).toEqual({
      authorization: `Basic ${Buffer.from('perijove:s3cret').toString('base64')}`,
    });
    expect(authorization(undefined)).toEqual({});
  });
});

it('a master of the spec is dialled through its own host, by address or name; any other address is refused', async () => {
  const spec = makeSpec({
    hosts: [
      ...[1, 2].map((index) =>
        makeHost(`h${index}`, { address: `10.0.0.${index}`, hostname: `mesos${index}.example` }),
      ),
      makeHost('h3', { address: '10.0.0.3', roles: ['agent'] }),
    ],
  });
  const ways: string[] = [];
  const note = async (way: string) => {
    ways.push(way);
    return { host: 'localhost', port: 1 };
  };
  const dial = masterReach(spec, {
    via: (host, address, port) => note(`via ${host} to ${address}:${port}`),
    any: (address, port) => note(`any to ${address}:${port}`),
  });
  await dial({ host: '10.0.0.2', port: 5050 });
  await dial({ host: 'mesos1.example', port: 5050 });
  for (const [host, port] of [
    ['10.0.0.1', 5051],
    ['10.0.0.3', 5050],
    ['10.9.9.9', 5050],
    ['10.0.0.1.example', 5050],
  ] as const) {
    await expect(dial({ host, port })).rejects.toMatchObject({
      code: 'MESOS_ADDRESS_REFUSED',
      retryable: false,
      place: { subject: `${host}:${port}` },
    });
  }
  expect(ways).toEqual(['via h2 to 10.0.0.2:5050', 'via h1 to 10.0.0.1:5050']);
});
