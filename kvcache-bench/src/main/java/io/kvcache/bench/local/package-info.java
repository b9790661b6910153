/** What the local tiers cost and give: heap, look-ups under load, the disk against what it can do. */
package io.kvcache.bench.local;
