// The runner of node-pg-migrate for one tenant after the other; one client where tenants share a database.
import pg from 'pg';
import { runner } from 'node-pg-migrate';

const { BENCH_URL: connectionString, BENCH_LIKE: like, BENCH_KIND: kind } = process.env;
const [direction, count, ...only] = process.argv.slice(2);

const run = (dbClient, schema) =>
  runner({
    dbClient,
    schema,
    migrationsSchema: schema,
    migrationsTable: 'pgmigrations',
    dir: 'migrations',
    direction,
    count: Number(count),
    log: () => {},
    verbose: false,
  });

const connected = async (url, work) => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const result = await work(client);
  await client.end();
  return result;
};

const listed = (query) =>
  connected(connectionString, async (client) => (await client.query(query, [like])).rows.map((row) => row.name));

if (kind === 'schemas') {
  const tenants = only.length
    ? only
    : await listed('SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE $1 ORDER BY nspname');
  await connected(connectionString, async (client) => {
    for (const tenant of tenants) await run(client, tenant);
  });
} else {
  const tenants = only.length
    ? only
    : await listed('SELECT datname AS name FROM pg_database WHERE datname LIKE $1 ORDER BY datname');
  for (const tenant of tenants) {
    const url = new URL(connectionString);
    url.pathname = `/${tenant}`;
    await connected(url.toString(), (client) => run(client, 'public'));
  }
}
