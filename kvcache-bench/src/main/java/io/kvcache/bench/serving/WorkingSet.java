package io.kvcache.bench.serving;

import io.kvcache.bench.task.RecallDocument;
import java.util.Collection;

/**
 * The KV of all full chunks of some documents, raw.
 *
 * @param bytes of all documents
 * @param largestBytes of the one that has most
 */
public record WorkingSet(long bytes, long largestBytes) {
  /** That of these documents. */
  public static WorkingSet of(CachedModel engine, Collection<RecallDocument> documents) {
    long bytes = 0;
    long largest = 0;
    for (RecallDocument document : documents) {
      long each = engine.storableTokens(document.tokens()) * engine.layout().tokenBytes();
      bytes += each;
      largest = Math.max(largest, each);
    }
    return new WorkingSet(bytes, largest);
  }

  /**
   * What a memory tier needs to take in the largest document at all, whatever it is to be encoded as: room is claimed
   * for raw chunks. A quarter on top is for their headers and scores, rounding to pages, and what the tier sets aside.
   */
  public long leastDramBytes() {
    return largestBytes + largestBytes / 4;
  }
}
