/** Thread entry of the scaling benchmark. */

import { scalingWork } from '../bench/scalingWork.ts';

export default scalingWork;
