import { expect, it } from 'vitest';
import { agentPatienceMs } from '../../src/mesos/agent-patience.js';

it.each([
  [{}, 75_000],
  [{ agent_ping_timeout: '1secs', max_agent_ping_timeouts: '3' }, 3_000],
  [{ agent_ping_timeout: '1.5mins' }, 450_000],
  [{ max_agent_ping_timeouts: '2' }, 30_000],
  [{ agent_ping_timeout: 'soon', max_agent_ping_timeouts: 'often' }, 75_000],
])('%j: %i ms', (masterFlags, ms) => {
  expect(agentPatienceMs({ masterFlags })).toBe(ms);
});
