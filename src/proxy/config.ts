import { z } from 'zod';

const port = z.number().int().min(1).max(65_535);

/** `<dir>/etc/proxy.json`: all that the proxy program needs to know; the token is a file beside it. */
export const proxyConfigSchema = z.object({
  cluster: z.string(),
  host: z.string(),
  listen: z.object({ address: z.string(), port }),
  api: z.object({ address: z.string(), port }),
  /** Read once, at the start. */
  tokenFile: z.string(),
  /** Where the last route is kept for a restart. */
  routeFile: z.string(),
});
export type ProxyConfig = Readonly<z.infer<typeof proxyConfigSchema>>;
