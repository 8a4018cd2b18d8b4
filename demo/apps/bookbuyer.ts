/** Buys books, once an interval, and counts from which version of the store each came. */
import { runCustomer } from './customer.ts';

await runCustomer({ title: 'bookbuyer', verb: 'bought', colour: '#066' });
