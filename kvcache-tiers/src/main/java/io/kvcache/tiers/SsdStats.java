package io.kvcache.tiers;

/**
 * What an SSD tier knows of its own health. Counts are of all openings since the user's, those to heal it included.
 *
 * @param directIo whether extents are read and written past the page cache ({@code O_DIRECT})
 * @param writable whether stores and removals are accepted; false from when a sync or an index write fails until the
 *     tier has healed
 * @param indexReplaced whether the index was damaged at open and set aside, so that the tier began empty
 * @param damagedRecords index records that did not check out, at open, where they are dropped, or since
 * @param misplacedEntries entries dropped at open because their extents overlap or lie outside of the files
 * @param shrunkEntries entries dropped at open because the capacity is smaller than it was
 * @param healed how often the tier opened its directory again by itself, and took writes again
 */
public record SsdStats(
    boolean directIo,
    boolean writable,
    boolean indexReplaced,
    long damagedRecords,
    long misplacedEntries,
    long shrunkEntries,
    long healed) {
  /** The present, with what was counted before. */
  SsdStats after(SsdStats earlier) {
    return new SsdStats(directIo, writable, indexReplaced || earlier.indexReplaced,
        damagedRecords + earlier.damagedRecords, misplacedEntries + earlier.misplacedEntries,
        shrunkEntries + earlier.shrunkEntries, healed + earlier.healed);
  }
}
