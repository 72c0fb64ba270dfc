/** The reply to `/version` and `GET_VERSION`; Mesos has no `stand_in`. */
export const versionInfo = {
  build_date: '2017-09-01 00:00:00',
  build_time: 1504224000,
  build_user: 'perijove',
  stand_in: true,
  version: '1.3.2',
} as const;
