/** The parts of node-zookeeper-client 1.1.3 that Perijove uses. The package has no types of its own. */
declare module 'node-zookeeper-client' {
  import type { EventEmitter } from 'node:events';

  namespace zookeeper {
    interface Stat {
      readonly version: number;
      /** Eight bytes; all zero unless the znode is ephemeral. */
      readonly ephemeralOwner: Buffer;
    }

    class Exception extends Error {
      static readonly CONNECTION_LOSS: number;
      static readonly NO_NODE: number;
      static readonly NODE_EXISTS: number;
      static readonly BAD_VERSION: number;
      static readonly NO_AUTH: number;
      static readonly SESSION_EXPIRED: number;
      readonly code: number;
      readonly path?: string;
      getCode(): number;
    }

    class Id {
      static readonly ANYONE_ID_UNSAFE: Id;
      static readonly AUTH_IDS: Id;
      constructor(scheme: string, id: string);
      readonly scheme: string;
      readonly id: string;
    }

    const Permission: { readonly READ: number; readonly ALL: number };

    class ACL {
      constructor(permission: number, id: Id);
      readonly permission: number;
      readonly id: Id;
      static readonly OPEN_ACL_UNSAFE: ACL[];
      static readonly CREATOR_ALL_ACL: ACL[];
      static readonly READ_ACL_UNSAFE: ACL[];
    }

    const CreateMode: {
      readonly PERSISTENT: number;
      readonly EPHEMERAL: number;
      readonly EPHEMERAL_SEQUENTIAL: number;
    };

    type Watcher = (event: unknown) => void;
    type Callback<T extends unknown[]> = (error: Exception | null | undefined, ...results: T) => void;

    interface Client extends EventEmitter {
      connect(): void;
      close(): void;
      getSessionId(): Buffer;
      getSessionTimeout(): number;
      addAuthInfo(scheme: string, auth: Buffer): void;
      create(path: string, data: Buffer, acls: ACL[], mode: number, callback: Callback<[path: string]>): void;
      remove(path: string, version: number, callback: Callback<[]>): void;
      setData(path: string, data: Buffer, version: number, callback: Callback<[stat: Stat]>): void;
      getData(
        path: string,
        watcher: Watcher,
        callback: Callback<[data: Buffer | undefined, stat: Stat]>,
      ): void;
      getData(path: string, callback: Callback<[data: Buffer | undefined, stat: Stat]>): void;
      getACL(path: string, callback: Callback<[acls: ACL[], stat: Stat]>): void;
      setACL(path: string, acls: ACL[], version: number, callback: Callback<[stat: Stat]>): void;
      exists(path: string, callback: Callback<[stat: Stat | null]>): void;
      getChildren(path: string, watcher: Watcher, callback: Callback<[children: string[]]>): void;
      getChildren(path: string, callback: Callback<[children: string[]]>): void;
    }

    function createClient(
      connectionString: string,
      options?: { sessionTimeout?: number; spinDelay?: number; retries?: number },
    ): Client;
  }

  export = zookeeper;
}
