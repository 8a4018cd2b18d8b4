/** Keeps the stock in MySQL: one row a delivery. It connects at first need and again after an error. */
import { createConnection, type Connection } from 'mysql2/promise';
import { type Counters, serveCounters } from './counter-page.ts';

const counters: Counters = { restocked: 0, stored: 0, databaseFailed: 0 };
let connection: Promise<Connection> | undefined;

async function connect(): Promise<Connection> {
  const opened = await createConnection({
    host: process.env['MYSQL_HOST'] ?? 'mysql.bookwarehouse',
    port: 3306,
    user: 'root',
    password: process.env['MYSQL_ROOT_PASSWORD'] ?? '',
    database: process.env['MYSQL_DATABASE'] ?? 'booksdemo',
    connectTimeout: 3000,
  });
  // A connection that breaks between two deliveries would otherwise end the process by its 'error' event.
  opened.on('error', () => {
    connection = undefined;
  });
  await opened.query(
    'CREATE TABLE IF NOT EXISTS deliveries (id BIGINT AUTO_INCREMENT PRIMARY KEY, books INT NOT NULL)',
  );
  return opened;
}

async function store(books: number): Promise<number> {
  connection ??= connect();
  const current = connection;
  try {
    const database = await current;
    await database.execute('INSERT INTO deliveries (books) VALUES (?)', [books]);
    const [rows] = await database.query('SELECT COUNT(*) AS total FROM deliveries');
    return Number((rows as { total: number }[])[0]?.total ?? 0);
  } catch (error) {
    if (connection === current) connection = undefined;
    throw error;
  }
}

serveCounters({
  title: 'bookwarehouse',
  counters,
  colour: '#630',
  routes: {
    'POST /restock-books': async (_request, response) => {
      counters['restocked']! += 1;
      try {
        counters['stored'] = await store(1);
        response.writeHead(200).end('restocked\n');
      } catch (error) {
        counters['databaseFailed']! += 1;
        console.log(JSON.stringify({ app: 'bookwarehouse', database: String(error) }));
        response.writeHead(500).end('the delivery could not be stored\n');
      }
    },
  },
});
