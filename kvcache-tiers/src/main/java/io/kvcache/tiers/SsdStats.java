package io.kvcache.tiers;

/**
 * What an SSD tier knows of its own health.
 *
 * @param directIo whether extents are read and written past the page cache ({@code O_DIRECT})
 * @param writable whether stores and removals are accepted; false after a sync or an index write has failed
 * @param indexReplaced whether the index was damaged at open and set aside, so that the tier began empty
 * @param damagedRecords index records that did not check out, at open, where they are dropped, or since
 * @param misplacedEntries entries dropped at open because their extents overlap or lie outside of the files
 * @param shrunkEntries entries dropped at open because the capacity is smaller than it was
 */
public record SsdStats(
    boolean directIo,
    boolean writable,
    boolean indexReplaced,
    long damagedRecords,
    long misplacedEntries,
    long shrunkEntries) {}
