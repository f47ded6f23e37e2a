/** Thread entry of an exploration: one shard, or one replay. */

import { exploreJob } from '../stress/hunt/exploreJob.ts';

export default exploreJob;
