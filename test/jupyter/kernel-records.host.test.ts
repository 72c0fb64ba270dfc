import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kernelRecords } from '../../src/jupyter/kernel-records.js';
import { jupyterPython } from '../support/programs.js';

const id = '00000000-0000-4000-8000-000000000001';
const other = '00000000-0000-4000-8000-000000000002';

const valid = {
  here: { boot: 'b', processes: 'pid:[1]', MARK: 'tree' },
  pid: 1,
  started: 1,
  name: 'python3',
  connection_file: `/run/kernel-${id}.json`,
  cwd: null,
  env: null,
  sessions: [{ id: 's', path: 'a.ipynb', name: null, type: 'notebook' }],
  client: null,
};

let directory: string;
beforeEach(() => {
  directory = path.join(mkdtempSync(path.join(tmpdir(), 'perijove-records-')), 'kernels');
});
afterEach(() => rmSync(path.dirname(directory), { recursive: true, force: true }));

/** Runs it with the records; resolves to the JSON that it prints last. */
async function inJupyter(code: string): Promise<unknown> {
  const script = `import logging, subprocess, sys
kernel_marks = {"MARK": "tree-" + sys.argv[1]}
${kernelRecords}
said = []
class Log(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
log = logging.getLogger("test")
log.setLevel("INFO")
log.addHandler(Log())
records = KernelRecords(sys.argv[1], log)
${code}`;
  const { stdout } = await promisify(execFile)(jupyterPython(), ['-c', script, directory]);
  return JSON.parse(stdout);
}

const read = 'found = records.read()\nprint(json.dumps([found, sorted(records.unknown), said]))';

describe('the record of a kernel', () => {
  it('is read as it was written, and only by its user', async () => {
    const write = `records.write("${id}", json.loads(${JSON.stringify(JSON.stringify(valid))}))\n`;
    expect(await inJupyter(`${write}${read}`)).toEqual([{ [id]: valid }, [], []]);
    expect(statSync(`${directory}/${id}.json`).mode & 0o777).toBe(0o600);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(readdirSync(directory)).toEqual([`${id}.json`]);
  });

  it('is not missed where there is none', async () => {
    expect(await inJupyter(read)).toEqual([{}, [], []]);
  });

  it.each<[what: string, content: string | Buffer]>([
    ['nothing', ''],
    ['no JSON', '{garbage'],
    ['half of one', JSON.stringify(valid).slice(0, 90)],
    ['bytes', Buffer.from([0xff, 0xfe, 0x00])],
    ['deeply nested', '['.repeat(100_000)],
    ['a list', '[]'],
    ['a number', '1'],
    ['an object', '{}'],
    ['no process', JSON.stringify({ ...valid, pid: null })],
    ['a process by name', JSON.stringify({ ...valid, pid: 'init' })],
    ['no start', JSON.stringify({ ...valid, started: undefined })],
    ['no place', JSON.stringify({ ...valid, here: 'here' })],
    ['an environment of numbers', JSON.stringify({ ...valid, env: { A: 1 } })],
    ['sessions by number', JSON.stringify({ ...valid, sessions: { 1: 'a' } })],
    ['a session without ID', JSON.stringify({ ...valid, sessions: [{ path: 'a' }] })],
    ['a session of lists', JSON.stringify({ ...valid, sessions: [{ id: 's', path: [] }] })],
  ])('that contains %s is set aside, and hides no other', async (_, content) => {
    mkdirSync(directory);
    writeFileSync(`${directory}/${id}.json`, content);
    writeFileSync(`${directory}/${other}.json`, JSON.stringify(valid));
    const [found, unknown, said] = (await inJupyter(read)) as [object, string[], string[]];
    expect([found, unknown]).toEqual([{ [other]: valid }, []]);
    expect(said).toEqual([expect.stringContaining(`The record of kernel ${id} is set aside: `)]);
    expect(readdirSync(directory)).toEqual([`${id}.unusable`, `${other}.json`]);
    expect(readFileSync(`${directory}/${id}.unusable`)).toEqual(Buffer.from(content));
  });

  it('that cannot be read is not known, and stays', async () => {
    mkdirSync(`${directory}/${id}.json`, { recursive: true });
    expect(await inJupyter(read)).toEqual([{}, [id], [expect.stringContaining('cannot be read')]]);
    expect(readdirSync(directory)).toEqual([`${id}.json`]);
  });

  it('is not known where the directory cannot be read', async () => {
    writeFileSync(directory, '');
    expect(await inJupyter(read)).toEqual([null, [], [expect.stringContaining('are not known')]]);
  });

  it('belongs to one server at a time, and never to one that a kernel has started', async () => {
    const code = `def claims(seconds, **more):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.environ.update(more)
        os.write(writing, b"yes" if KernelRecords(sys.argv[1], log).claim() else b"no")
        os.close(writing)
        time.sleep(seconds)
        os._exit(0)
    os.close(writing)
    return pid, os.read(reading, 3).decode()
kernel = claims(0, PERIJOVE_NODE_KERNEL="a")
first = claims(600)
second = claims(0)
os.kill(first[0], signal.SIGKILL)
os.waitpid(first[0], 0)
third = claims(0)
print(json.dumps([each[1] for each in (kernel, first, second, third)]))`;
    expect(await inJupyter(code)).toEqual(['no', 'yes', 'no', 'yes']);
  });

  it('that cannot be written is reported, and stops nothing', async () => {
    writeFileSync(directory, '');
    expect(await inJupyter(`records.write("${id}", {})\nprint(json.dumps(said))`)).toEqual([
      expect.stringContaining(`Kernel ${id} may be lost if this server dies`),
    ]);
  });
});

describe('the process of a kernel', () => {
  it('is another one with another start, and none once it has ended, reaped or not', async () => {
    const code = `child = subprocess.Popen(["sleep", "60"])
started = start_time(child.pid)
process, stranger = TakenUpProcess(child.pid, started), TakenUpProcess(child.pid, started - 1)
seen = [process.poll(), stranger.poll()]
stranger.kill()
seen.append(child.poll())
process.kill()
seen.append(process.wait())
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
seen.append(start_time(child.pid))
child.wait()
print(json.dumps([*seen, start_time(child.pid)]))`;
    expect(await inJupyter(code)).toEqual([null, 0, null, 0, null, null]);
  });

  it('and what it has started end unless a kernel is kept or young; others stay', async () => {
    const code = `def start(tree, kernel):
    env = {**os.environ, "MARK": tree, "PERIJOVE_NODE_KERNEL": kernel}
    return subprocess.Popen(["sh", "-c", "sleep 60; exit 3"], env=env, start_new_session=True)
tree = kernel_marks["MARK"]
old = [start(tree, "kept"), start(tree, "gone"), start(tree + "2", "gone")]
while len(list(processes_of_kernels())) < 4:
    time.sleep(0.02)
border = max(started for _, started, _ in processes_of_kernels()) + 1
while True:
    young = start(tree, "gone")
    if start_time(young.pid) >= border:
        break
    young.kill()
    young.wait()
end_strangers({"kept"}, border)
old[1].wait()
ended = [process.poll() for process in [*old, young]]
for process in [*old, young]:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
print(json.dumps(ended))`;
    expect(await inJupyter(code)).toEqual([null, -9, null, null]);
  });

  it('writes into a file that stays small, and whose end is logged', async () => {
    const code = `with records.output("${id}") as output:
    output.write(b"x" * (records.most_output + 1))
    output.flush()
    records.limit_output()
    output.write(b"the last words")
records.report_output("${id}")
records.report_output("${id}")
print(json.dumps([said, os.path.getsize(records._file("${id}", "output"))]))`;
    expect(await inJupyter(code)).toEqual([[`Kernel ${id} has written: the last words`], 0]);
  });
});
