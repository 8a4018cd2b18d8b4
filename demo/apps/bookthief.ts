/** Takes books with the buyer's own headers: only its identity can stop it. */
import { runCustomer } from './customer.ts';

await runCustomer({ title: 'bookthief', verb: 'stolen', colour: '#900' });
