package io.kvcache;

/** Something worth knowing that happened in a cache. Chunks are counted, tiers are named. */
public sealed interface CacheEvent {
  /**
   * A reservation was committed.
   *
   * @param tier where its chunks are
   * @param chunks how many
   * @param storedBytes bytes they take
   */
  record Stored(String tier, int chunks, long storedBytes) implements CacheEvent {}

  /**
   * A look-up found a prefix, or none.
   *
   * @param tokens tokens leased
   * @param requestedTokens tokens of the prompt
   */
  record LookedUp(int tokens, int requestedTokens) implements CacheEvent {}

  /**
   * Chunks were copied to another tier, and removed from the one they came from unless {@code copied}.
   *
   * @param from tier they were in
   * @param to tier they are in
   * @param codec encoding they have there
   * @param chunks how many
   * @param copied whether they stay in {@code from}
   */
  record Moved(String from, String to, String codec, int chunks, boolean copied) implements CacheEvent {}

  /**
   * Chunks were encoded anew where they are.
   *
   * @param tier which
   * @param codec encoding they have now
   * @param chunks how many
   */
  record Reencoded(String tier, String codec, int chunks) implements CacheEvent {}

  /**
   * Chunks were removed from a tier.
   *
   * @param tier which
   * @param chunks how many
   * @param cause why
   */
  record Dropped(String tier, int chunks, DropCause cause) implements CacheEvent {}

  /** Why chunks left a tier. */
  enum DropCause {
    /** The policy needed the room. */
    EVICTED,
    /** Their namespace's quota needed the room. */
    QUOTA,
    /** Their time to live was over. */
    EXPIRED,
    /** The caller removed or cleared them. */
    REMOVED
  }

  /**
   * Bytes of a chunk failed verification; it was removed and counts as a miss.
   *
   * @param tier where
   * @param key which chunk
   * @param problem what was found and expected
   */
  record Corrupt(String tier, ChunkKey key, String problem) implements CacheEvent {}

  /**
   * A tier failed so often that it is left alone for a while; by those who store only, where reads go well.
   *
   * @param tier which
   * @param cause the latest failure
   */
  record TierFenced(String tier, Exception cause) implements CacheEvent {}

  /**
   * A fenced tier works again.
   *
   * @param tier which
   */
  record TierHealed(String tier) implements CacheEvent {}
}
