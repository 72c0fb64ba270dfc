import * as z from 'zod';

const port = z.number().int().min(1).max(65_535);

/** `<dir>/etc/proxy.json`: the configuration of the proxy program; the token is in a separate file. */
export const proxyConfigSchema = z.object({
  cluster: z.string(),
  host: z.string(),
  listen: z.object({ address: z.string(), port }),
  api: z.object({ address: z.string(), port }),
  /** Read once at startup, with `.next` and `.last` beside it: these are accepted, too. */
  tokenFile: z.string(),
  /** Absent: plain HTTP. */
  tls: z
    .object({
      /** A key and certificates, in one PEM file; watched. */
      file: z.string(),
      hstsSeconds: z.number().int().nonnegative().optional(),
    })
    .optional(),
  /** Absent: all kernels are those of the serving node. */
  kernels: z
    .object({
      /** The control port of nodes. */
      port,
      /** Of `node-kernels-token`. */
      tokenFile: z.string(),
      placement: z.enum(['spread', 'leader']),
    })
    .optional(),
  /** Keeps the last route for a restart. */
  routeFile: z.string(),
});
export type ProxyConfig = Readonly<z.infer<typeof proxyConfigSchema>>;
