package io.kvcache;

import java.util.ArrayList;
import java.util.List;

/**
 * An immutable snapshot of what a cache did since it was opened, or, after {@link #minus}, in an interval.
 *
 * @param lookups calls of {@link KvCache#acquire}
 * @param requestedTokens tokens of their prompts
 * @param hitTokens tokens leased
 * @param storedTokens tokens committed
 * @param rejectedReservations reservations that found no room in the tier
 * @param quotaReservations reservations that found no room in their namespace's quota
 * @param profiledSegments segments whose qualities were measured
 * @param probeFailures namespaces that are estimated because their probe failed
 * @param pluginFailures chunks not encoded anew, encodings not measured, and observations of leases lost, because a
 *     compressor or the policy threw
 * @param droppedEvents events that came faster than the listener took them, of which it was not told
 * @param openLeases leases not closed yet, now
 * @param openReservations reservations not closed yet, now
 * @param readBuffers buffers taken for reads from tiers that are not addressable, now
 * @param largePageBytes bytes of memory, of all caches of this process, for which the system was asked for pages of
 *     2 MiB, now; 0 where it cannot be asked: not Linux, or native access is not enabled
 * @param segments segments of the prefix tree, now
 * @param chunks chunks of the prefix tree, now
 * @param tiers what each tier did, fastest first
 * @param loads what leases read, by tier and encoding
 */
public record CacheStats(
    long lookups,
    long requestedTokens,
    long hitTokens,
    long storedTokens,
    long rejectedReservations,
    long quotaReservations,
    long profiledSegments,
    long probeFailures,
    long pluginFailures,
    long droppedEvents,
    int openLeases,
    int openReservations,
    int readBuffers,
    long largePageBytes,
    int segments,
    long chunks,
    List<TierStats> tiers,
    List<Loads> loads) {
  /**
   * What one tier did.
   *
   * @param name its name
   * @param capacityBytes its limit
   * @param usedBytes bytes in use, now
   * @param entries entries, now
   * @param bytesWritten bytes of entries committed
   * @param bytesRead bytes of parts read, for leases and migrations
   * @param evictedChunks chunks removed to make room, in the tier or in their namespace's quota
   * @param expiredChunks chunks removed because their time to live was over
   * @param corruptChunks chunks that failed verification
   * @param missingChunks chunks that were expected and not there
   * @param errors calls that failed
   * @param fenced whether it is left alone, now, at least by those who store
   */
  public record TierStats(
      String name,
      long capacityBytes,
      long usedBytes,
      long entries,
      long bytesWritten,
      long bytesRead,
      long evictedChunks,
      long expiredChunks,
      long corruptChunks,
      long missingChunks,
      long errors,
      boolean fenced) {
    private TierStats minus(TierStats earlier) {
      return new TierStats(name, capacityBytes, usedBytes, entries, bytesWritten - earlier.bytesWritten,
          bytesRead - earlier.bytesRead, evictedChunks - earlier.evictedChunks,
          expiredChunks - earlier.expiredChunks,
          corruptChunks - earlier.corruptChunks, missingChunks - earlier.missingChunks,
          errors - earlier.errors,
          fenced);
    }
  }

  /**
   * What leases read from one tier in one encoding.
   *
   * @param tier name of the tier
   * @param codec name of the encoding
   * @param chunks chunks leased there
   * @param storedBytes bytes read, as stored
   */
  public record Loads(String tier, String codec, long chunks, long storedBytes) {}

  /** Copies the lists. */
  public CacheStats {
    tiers = List.copyOf(tiers);
    loads = List.copyOf(loads);
  }

  /** Share of requested tokens that were leased, 0 to 1. */
  public double hitTokenShare() {
    return requestedTokens == 0 ? 0 : (double) hitTokens / requestedTokens;
  }

  /** What happened since {@code earlier}, a snapshot of the same cache; what is "now" stays. */
  public CacheStats minus(CacheStats earlier) {
    List<TierStats> tierInterval = new ArrayList<>();
    for (int tier = 0; tier < tiers.size(); tier++) {
      tierInterval.add(tiers.get(tier).minus(earlier.tiers.get(tier)));
    }
    return new CacheStats(lookups - earlier.lookups, requestedTokens - earlier.requestedTokens,
        hitTokens - earlier.hitTokens, storedTokens - earlier.storedTokens,
        rejectedReservations - earlier.rejectedReservations,
        quotaReservations - earlier.quotaReservations,
        profiledSegments - earlier.profiledSegments, probeFailures - earlier.probeFailures,
        pluginFailures - earlier.pluginFailures,
        droppedEvents - earlier.droppedEvents,
        openLeases, openReservations, readBuffers, largePageBytes,
        segments, chunks,
        tierInterval, loads.stream().map(load -> earlier.subtractedFrom(load)).toList());
  }

  private Loads subtractedFrom(Loads later) {
    return loads.stream()
        .filter(load -> load.tier.equals(later.tier) && load.codec.equals(later.codec))
        .findFirst()
        .map(load -> new Loads(later.tier, later.codec, later.chunks - load.chunks,
            later.storedBytes - load.storedBytes))
        .orElse(later);
  }
}
