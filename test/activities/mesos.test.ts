import { describe, expect, it } from 'vitest';
import { disagreementOf } from '../../src/activities/mesos.js';

describe('disagreementOf', () => {
  it('is none when all masters name one leader', () => {
    const leader = '10.0.0.1:5050';
    expect(disagreementOf(['h1', 'h2', 'h3'].map((host) => ({ host, leader })))).toBeUndefined();
  });

  it('names the masters that know no leader before it compares the others', () => {
    const views = [
      { host: 'h1', leader: 'a:1' },
      { host: 'h2' },
      { host: 'h3', leader: 'b:1' },
      { host: 'h4' },
    ];
    expect(disagreementOf(views)).toMatchObject({
      code: 'MASTERS_DISAGREE',
      message: 'h2, h4: no answer, or no leader known',
      place: { host: 'h2' },
    });
  });

  it('says who names whom', () => {
    const views = [
      { host: 'h1', leader: 'a:1' },
      { host: 'h2', leader: 'b:1' },
    ];
    expect(disagreementOf(views)).toMatchObject({
      code: 'MASTERS_DISAGREE',
      message: 'h1 names a:1, h2 names b:1',
    });
  });
});
