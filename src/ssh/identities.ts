import { readFile } from 'node:fs/promises';
import ssh2, {
  type IdentityCallback,
  type ParsedKey,
  type SignCallback,
  type SigningRequestOptions,
} from 'ssh2';
import type { KeyObject } from 'node:crypto';
import { agentKeys, agentSignature, type AgentKey } from './agent.js';
import { outOfTime, parseCertificate } from './certificate.js';
import { parsePublicLine, plainType, signatureBy, type KeyFile } from './key-file.js';
import { fingerprint } from './known-hosts.js';
import { WireReader } from './wire.js';

/** A key or a certificate that is offered to a host, and who signs with it. */
interface Identity {
  /** The public key or the certificate, in wire format. */
  readonly blob: Buffer;
  /** For messages. */
  readonly name: string;
  readonly signer:
    | { readonly kind: 'file'; readonly key: KeyObject }
    /** `blob`: what the agent knows the key by. */
    | { readonly kind: 'agent'; readonly blob: Buffer };
}

/** A key file of the target, as it was read. */
export interface NamedKey {
  readonly file: string;
  readonly content: Extract<KeyFile, { blob?: Buffer }>;
}

interface IdentitiesOptions {
  readonly keys: readonly NamedKey[];
  /** Files of certificates besides `KEY-cert.pub`. */
  readonly certificateFiles: readonly string[];
  /** Socket of the agent. */
  readonly agent?: string;
  /** Offer no key of the agent that no file names. */
  readonly only: boolean;
  readonly signal: AbortSignal;
}

/**
 * The keys and certificates of a login, in the order of OpenSSH: first those that key files name, each after its
 * certificate, and then the others of the agent. ssh2 takes it for an agent. Its signatures are complete, with
 * their algorithm: `sendCompleteSignatures` sends them.
 */
export class Identities extends ssh2.BaseAgent<ParsedKey> {
  /** What the agent failed to do: the rest of a sentence about it. */
  trouble: Error | undefined;
  /** What a person should know about the keys if all of them are rejected. */
  readonly notes: string[] = [];
  /** Names of what was offered so far. */
  readonly offered: string[] = [];
  /** Whether the agent is being asked. */
  waiting = false;
  readonly #options: IdentitiesOptions;
  readonly #byKey = new Map<ParsedKey, Identity>();

  constructor(options: IdentitiesOptions) {
    super();
    this.#options = options;
  }

  override getIdentities(done: IdentityCallback<ParsedKey>): void {
    this.#list().then(
      (identities) => {
        for (const identity of identities) this.#byKey.set(offer(identity.blob), identity);
        done(undefined, [...this.#byKey.keys()]);
      },
      (error: Error) => done(error),
    );
  }

  override sign(
    key: ParsedKey,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    callback?: SignCallback,
  ): void {
    const [hash, done] = typeof options === 'function' ? [undefined, options] : [options.hash, callback];
    const identity = this.#byKey.get(key);
    if (identity === undefined) return done?.(new Error('a key that was not offered'));
    this.#sign(identity, data, hash ?? 'sha512').then(
      (signature) => done?.(undefined, signature),
      (error: Error) => done?.(error),
    );
  }

  /** Notes that a key is offered. */
  offering(key: ParsedKey): void {
    const name = this.#byKey.get(key)?.name;
    if (name !== undefined && !this.offered.includes(name)) this.offered.push(name);
  }

  async #sign({ signer, blob, name }: Identity, data: Buffer, hash: string): Promise<Buffer> {
    if (signer.kind === 'file') return signatureBy(signer.key, blob, data, hash);
    const { agent = '', signal } = this.#options;
    this.waiting = true;
    try {
      const forRsa = plainType(blob) === 'ssh-rsa' ? { hash } : {};
      return await agentSignature(agent, { blob: signer.blob, data, ...forRsa, signal });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.trouble = new Error(`did not sign with ${name}: ${why}`, { cause: error });
      throw this.trouble;
    } finally {
      this.waiting = false;
    }
  }

  async #list(): Promise<Identity[]> {
    const { keys, only } = this.#options;
    const held = await this.#held();
    const certificates = await this.#certificates();
    const named = keys.flatMap(({ file, content }): Identity[] => {
      const { blob } = content;
      if (blob === undefined) return [];
      const inAgent = held.find((each) => each.blob.equals(blob));
      const signer =
        content.kind === 'private'
          ? ({ kind: 'file', key: content.key } as const)
          : inAgent && ({ kind: 'agent', blob } as const);
      const ofAgent = held
        .filter((each) => certifies(each.blob, blob))
        .map((each) => ofAgentOnly(each, this.#note(each.blob, each.comment)));
      if (signer === undefined) return ofAgent;
      const own = certificates
        .filter((each) => certifies(each.blob, blob))
        .map((each): Identity => ({ blob: each.blob, name: `the certificate ${each.file}`, signer }));
      return [...own, ...ofAgent, { blob, name: file, signer }];
    });
    // A certificate in a file may be about a key that only the agent holds.
    const others = held.flatMap((each) => [
      ...certificates
        .filter((certificate) => certifies(certificate.blob, each.blob))
        .map(({ blob, file }): Identity => ({
          ...{ blob, name: `the certificate ${file}` },
          signer: { kind: 'agent', blob: each.blob },
        })),
      ...(only ? [] : [ofAgentOnly(each, this.#note(each.blob, each.comment))]),
    ]);
    return [...named, ...others].filter(
      ({ blob }, index, all) => all.findIndex((each) => each.blob.equals(blob)) === index,
    );
  }

  async #held(): Promise<AgentKey[]> {
    const { agent } = this.#options;
    if (agent === undefined) return [];
    this.waiting = true;
    try {
      return await agentKeys(agent);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.trouble = new Error(`does not respond (${why})`, { cause: error });
      return [];
    } finally {
      this.waiting = false;
    }
  }

  /** Certificates beside the key files, and those that are named. */
  async #certificates(): Promise<{ blob: Buffer; file: string }[]> {
    const { keys, certificateFiles } = this.#options;
    const files = [...certificateFiles, ...keys.map(({ file }) => `${file.replace(/\.pub$/, '')}-cert.pub`)];
    const read = await Promise.all(
      files.map(async (file) => {
        const text = await readFile(file, 'latin1').catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') this.notes.push(`${file} cannot be read (${error.code ?? ''})`);
        });
        if (text === undefined) return [];
        const blob = parsePublicLine(text);
        if (blob === undefined || parseCertificate(blob) === undefined) {
          this.notes.push(`${file} is no certificate`);
          return [];
        }
        const about = keys.flatMap(({ content }) => content.blob ?? []);
        if (file.endsWith('-cert.pub') && about.length > 0 && !about.some((key) => certifies(blob, key)))
          this.notes.push(`${file} is about another key`);
        this.#note(blob, file);
        return [{ blob, file }];
      }),
    );
    return read.flat();
  }

  /** The name of a key of the agent; notes what is wrong with a certificate. */
  #note(blob: Buffer, name: string): string {
    const certificate = parseCertificate(blob);
    // Keys of one person often have one comment.
    const named = `${name} (${fingerprint(certificate?.key ?? blob).slice(0, 17)}…)`;
    if (certificate === undefined) return `${named} of the agent`;
    const late = outOfTime(certificate, new Date());
    const note =
      certificate.kind === 'user' ? late && `${name} ${late}` : `${name} is no certificate of a user`;
    if (note !== undefined && !this.notes.includes(note)) this.notes.push(note);
    return `the certificate ${named} of the agent`;
  }
}

function ofAgentOnly({ blob }: AgentKey, name: string): Identity {
  return { blob, name, signer: { kind: 'agent', blob } };
}

function certifies(certificate: Buffer, key: Buffer): boolean {
  return parseCertificate(certificate)?.key.equals(key) === true;
}

/** Any key: ssh2 accepts only objects that its own parser made. */
const template = ssh2.utils.parseKey(
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f',
);

/**
 * A key or certificate as ssh2 offers it. It knows neither certificates nor keys of security tokens, but asks a
 * key only for its type and its bytes. It chooses the signature algorithm of plain RSA keys itself.
 */
function offer(blob: Buffer): ParsedKey {
  const type = new WireReader(blob).text();
  const algorithm =
    plainType(blob) === 'ssh-rsa' && type !== 'ssh-rsa' ? 'rsa-sha2-512-cert-v01@openssh.com' : type;
  return Object.create(template, {
    type: { value: algorithm },
    getPublicSSH: { value: () => blob },
  }) as ParsedKey;
}
