/** Thread entry of a simulated CPU: one task of the pool for the whole run. */

import { stressCpu } from '../stress/run/stressCpu.ts';

export default stressCpu;
