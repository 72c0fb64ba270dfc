import {
  Client,
  Connection,
  isGrpcServiceError,
  type ConnectionOptions,
  type ConnectionLike,
} from '@temporalio/client';
import { loadClientConnectConfig, type ClientConnectConfig } from '@temporalio/envconfig';
import proto from '@temporalio/proto';
import { PerijoveError, messageOf } from '../errors/error.js';
import { abortable } from '../net/abortable.js';
import { listens } from '../net/listens.js';
import { notAnswering, whyUnanswered } from './answers.js';
import { operatorIdentity } from './client-identity.js';
import { searchAttributes } from './contract.js';
import { payloadCodec } from './payload-codec.js';
import type { PayloadKeys } from './payload-keys.js';
import { updatesAgain } from './updates.js';

export interface TemporalSettings {
  /** `host:port`; overrides the profile and TEMPORAL_ADDRESS. */
  readonly address?: string;
  readonly namespace?: string;
  /** A profile of the file at TEMPORAL_CONFIG_FILE; TEMPORAL_PROFILE or `default` otherwise. */
  readonly profile?: string;
  /** How long to wait for the server, 5 000 by default. */
  readonly deadlineMs?: number;
  /** For what Temporal stores; in clear without them. */
  readonly payloadKeys?: PayloadKeys;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
}

export interface TemporalTarget {
  readonly address: string;
  readonly namespace: string;
  readonly connection: ClientConnectConfig['connectionOptions'];
}

export interface TemporalClient {
  readonly client: Client;
  readonly connection: Connection;
  readonly address: string;
  readonly namespace: string;
  readonly close: () => Promise<void>;
}

// gRPC codes that show where the fault is (grpc.github.io/grpc/core/md_doc_statuscodes.html).
const grpc = {
  invalidArgument: 3,
  notFound: 5,
  permissionDenied: 7,
  unavailable: 14,
  unauthenticated: 16,
};

export interface ClientChoice {
  readonly keys?: PayloadKeys | undefined;
  /** Who asks, as histories keep it. */
  readonly identity: string;
}

/** A client whose updates survive a refused workflow task, over a client's or a worker's connection. */
export function clientOf(
  connection: ConnectionLike,
  namespace: string,
  { keys, identity }: ClientChoice,
): Client {
  return new Client({
    connection,
    namespace,
    identity,
    interceptors: { workflow: [updatesAgain] },
    dataConverter: { payloadCodecs: [payloadCodec(keys)] },
  });
}

/**
 * Connects to the server that the environment and its profiles name (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE,
 * TEMPORAL_API_KEY, TEMPORAL_TLS_*, TEMPORAL_PROFILE; see docs.temporal.io/develop/environment-configuration).
 *
 * @throws PerijoveError TEMPORAL_UNREACHABLE, TEMPORAL_SLOW, TEMPORAL_REFUSED, TEMPORAL_NAMESPACE_UNKNOWN,
 *   TEMPORAL_PROFILE_INVALID; the signal's reason
 */
export async function connectClient(settings: TemporalSettings = {}): Promise<TemporalClient> {
  const { signal } = settings;
  signal?.throwIfAborted();
  const connecting = openClient(settings);
  try {
    return await abortable(connecting, signal);
  } catch (error) {
    // One that comes up nevertheless is of no use to anybody.
    void connecting.then(({ close }) => close()).catch(() => undefined);
    throw error;
  }
}

async function openClient(settings: TemporalSettings): Promise<TemporalClient> {
  const target = resolveTarget(settings);
  const { address, namespace } = target;
  const deadlineMs = settings.deadlineMs ?? 5_000;
  const connection = Connection.lazy({
    ...(target.connection as ConnectionOptions),
    connectTimeout: deadlineMs,
  });
  try {
    await connection.ensureConnected();
  } catch (error) {
    await connection.close();
    throw (await temporalError(error, { address })) ?? (await unreachable(address, error));
  }
  try {
    await connection.withDeadline(Date.now() + deadlineMs, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
  } catch (error) {
    await connection.close();
    if (isGrpcServiceError(error) && Number(error.code) === grpc.notFound) {
      throw new PerijoveError('TEMPORAL_NAMESPACE_UNKNOWN', `unknown namespace at ${address}: ${namespace}`, {
        subject: namespace,
        cause: error,
      });
    }
    throw (await temporalError(error, { address })) ?? error;
  }
  const client = clientOf(connection, namespace, {
    keys: settings.payloadKeys,
    identity: operatorIdentity(),
  });
  return { client, connection, address, namespace, close: () => connection.close() };
}

/**
 * Registers missing search attributes. Returns false when the server does not permit it: in Temporal Cloud an
 * administrator creates them.
 */
export async function ensureSearchAttributes(
  connection: Pick<Connection, 'operatorService'>,
  namespace: string,
): Promise<boolean> {
  const { INDEXED_VALUE_TYPE_KEYWORD } = proto.temporal.api.enums.v1.IndexedValueType;
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    const missing = Object.values(searchAttributes).filter((name) => customAttributes[name] === undefined);
    if (missing.length > 0) {
      await connection.operatorService.addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(missing.map((name) => [name, INDEXED_VALUE_TYPE_KEYWORD])),
      });
    }
    return true;
  } catch (error) {
    if (isGrpcServiceError(error) && Number(error.code) !== grpc.unavailable) return false;
    throw error;
  }
}

/**
 * The meaning of a Temporal call's error for users; undefined when it is about the call itself.
 *
 * @param server with a `connection`, an unresponsive worker is distinguished from an unresponsive server
 */
export async function temporalError(
  thrown: unknown,
  { address, ...server }: ServerQuestion,
): Promise<PerijoveError | undefined> {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (!isGrpcServiceError(error)) continue;
    switch (Number(error.code)) {
      case grpc.permissionDenied:
      case grpc.unauthenticated:
        return refused(address, error.details, thrown);
      case grpc.invalidArgument:
        if (!/search attribute/i.test(error.details)) return undefined;
        return new PerijoveError('TEMPORAL_ATTRIBUTES_MISSING', `${address}: ${error.details}`, {
          cause: thrown,
        });
      default:
    }
  }
  const why = whyUnanswered(thrown);
  if (why === undefined) return undefined;
  if (await serverAnswers(server)) return notAnswering('the workflow', why, thrown);
  return await unreachable(address, thrown);
}

/** A server to which a call was made. */
type ServerQuestion = { readonly address: string } & Partial<
  Pick<TemporalClient, 'connection' | 'namespace'>
>;

const probeMs = 2_000;

async function serverAnswers({ connection, namespace }: Omit<ServerQuestion, 'address'>): Promise<boolean> {
  if (connection === undefined || namespace === undefined) return false;
  try {
    await connection.withDeadline(Date.now() + probeMs, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
    return true;
  } catch {
    return false;
  }
}

/** TEMPORAL_UNREACHABLE, or TEMPORAL_SLOW where something listens all the same. */
export async function unreachable(address: string, cause: unknown): Promise<PerijoveError> {
  return (await listens(address, probeMs))
    ? new PerijoveError('TEMPORAL_SLOW', `the Temporal server at ${address} does not answer in time`, {
        subject: address,
        cause,
      })
    : new PerijoveError('TEMPORAL_UNREACHABLE', `no Temporal server responds at ${address}`, {
        subject: address,
        cause,
      });
}

/** Whether it helps to connect again, without anyone changing anything. */
export function isAway(error: unknown): error is PerijoveError {
  return (
    error instanceof PerijoveError &&
    (error.code === 'TEMPORAL_UNREACHABLE' || error.code === 'TEMPORAL_SLOW')
  );
}

export function refused(address: string, why: string, cause: unknown): PerijoveError {
  return new PerijoveError('TEMPORAL_REFUSED', `${address} rejected the credentials: ${why}`, {
    subject: address,
    cause,
  });
}

/** @throws PerijoveError TEMPORAL_PROFILE_INVALID */
export function resolveTarget(settings: TemporalSettings): TemporalTarget {
  let config: ClientConnectConfig;
  try {
    config = loadClientConnectConfig(settings.profile === undefined ? {} : { profile: settings.profile });
  } catch (error) {
    throw new PerijoveError('TEMPORAL_PROFILE_INVALID', messageOf(error), { cause: error });
  }
  const address = settings.address ?? config.connectionOptions.address ?? '127.0.0.1:7233';
  return {
    address,
    namespace: settings.namespace ?? config.namespace ?? 'default',
    connection: { ...config.connectionOptions, address },
  };
}
