import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ProxyTlsFiles } from '../../src/cluster/spec.js';

export interface IssueOptions {
  /** As OpenSSL names them: `DNS:localhost`, `IP:127.0.0.1`. */
  readonly names?: string;
  /** Both as `openssl ca` takes them: `20200101000000Z`. */
  readonly from?: string;
  readonly to?: string;
}

/** A new CA in a temporary directory, made with OpenSSL. */
export interface TestAuthority {
  readonly dir: string;
  /** Its certificate, as text. */
  readonly ca: string;
  /** Writes `NAME.pem`, with the CA after the certificate, and `NAME-key.pem`. */
  issue(name: string, options?: IssueOptions): ProxyTlsFiles;
  remove(): void;
}

export function makeAuthority(): TestAuthority {
  const dir = mkdtempSync(path.join(tmpdir(), 'perijove-ca-'));
  const file = (name: string) => path.join(dir, name);
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    ...['req', '-x509', ...newKey, '-days', '30', '-subj', '/CN=Test authority'],
    ...['-keyout', 'ca-key.pem', '-out', 'ca.pem'],
  );
  writeFileSync(
    file('ca.cnf'),
    `[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca-key.pem
default_md = sha256
rand_serial = yes
unique_subject = no
copy_extensions = copy
policy = any
[any]
commonName = supplied
`,
  );
  writeFileSync(file('index.txt'), '');
  const ca = readFileSync(file('ca.pem'), 'utf8');
  return {
    dir,
    ca,
    issue: (name, { names = 'DNS:localhost,IP:127.0.0.1', from, to }: IssueOptions = {}) => {
      const [request, certificate, key] = [`${name}.csr`, `${name}.pem`, `${name}-key.pem`] as const;
      openssl(
        ...['req', ...newKey, '-subj', `/CN=${name}`, '-addext', `subjectAltName=${names}`],
        ...['-keyout', key, '-out', request],
      );
      openssl(
        ...['ca', '-config', 'ca.cnf', '-batch', '-notext', '-in', request, '-out', certificate],
        ...(from === undefined ? [] : ['-startdate', from]),
        ...(to === undefined ? ['-days', '30'] : ['-enddate', to]),
      );
      writeFileSync(file(certificate), `${readFileSync(file(certificate), 'utf8')}${ca}`);
      return { certificateFile: file(certificate), keyFile: file(key) };
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
