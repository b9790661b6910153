package io.kvcache.placement;

import io.kvcache.Encoding;
import io.kvcache.spi.Codings;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The encodings a policy chooses from, by number: raw is 0, then the lossless, then the candidates. What is found
 * stored otherwise gets a number behind these and is never chosen for anything.
 *
 * <p>Candidates that differ in nothing but how the tokens kept were chosen take the same bytes and are decoded alike:
 * they form a group, of which for each segment only the one of best quality counts (the best-method collapse of
 * EvicPress' simulator).
 */
final class EncodingTable {
  /** Share of its bytes a lossless codec is expected to leave until one was seen: else it would never be tried. */
  private static final double UNSEEN_LOSSLESS_SHARE = 0.9;
  /** Weight of a new observation of bytes. */
  private static final double RECENT = 1.0 / 32;

  private final Codings codings;
  private final List<Encoding> encodings = new ArrayList<>();
  private final Map<Encoding, Integer> numbers = new HashMap<>();
  private final List<Row> rows = new ArrayList<>();
  private final int chosen;
  private final int firstCandidate;
  private final int[][] groups;

  /** What is known of one encoding. */
  private static final class Row {
    boolean supported;
    boolean exact;
    double nominalLoss;
    double chunkBytes;
    boolean seen;
    /** For each encoding that is chosen from, whether this can be made into it; and which these are. */
    boolean[] into;
    int[] targets;
  }

  /**
   * These, and raw.
   *
   * @throws IllegalArgumentException when the cache cannot store one, or it is not as exact as it should be
   */
  EncodingTable(Codings codings, List<Integer> lossless, List<Encoding> candidates) {
    this.codings = codings;
    encodings.add(Encoding.RAW);
    lossless.forEach(codec -> encodings.add(Encoding.of(codec)));
    firstCandidate = encodings.size();
    encodings.addAll(candidates);
    chosen = encodings.size();
    for (int number = 0; number < chosen; number++) {
      Encoding encoding = encodings.get(number);
      if (!codings.supports(encoding)) {
        throw new IllegalArgumentException("the cache cannot store " + encoding + "; its codecs are "
            + codings.codecs());
      }
      if (codings.exact(encoding) != number < firstCandidate) {
        throw new IllegalArgumentException(codings.name(encoding) + (number < firstCandidate
            ? " is not lossless"
            : " is lossless, and no candidate of lossy encodings"));
      }
      if (numbers.put(encoding, number) != null) {
        throw new IllegalArgumentException(codings.name(encoding) + " is given twice");
      }
    }
    for (int number = 0; number < chosen; number++) {
      rows.add(row(encodings.get(number)));
    }
    groups = groups();
  }

  private Row row(Encoding encoding) {
    Row row = new Row();
    row.into = new boolean[chosen];
    row.supported = codings.supports(encoding);
    row.nominalLoss = 1;
    if (row.supported) {
      row.exact = codings.exact(encoding);
      row.nominalLoss = row.exact ? 0 : lossOf(codings.nominalQuality(encoding));
      long raw = codings.expectedChunkBytes(Encoding.RAW);
      long bytes = Math.max(1, codings.expectedChunkBytes(encoding));
      boolean gainUnknown = row.exact && !encoding.equals(Encoding.RAW) && bytes >= raw;
      row.chunkBytes = gainUnknown ? raw * UNSEEN_LOSSLESS_SHARE : bytes;
      for (int to = 0; to < chosen; to++) {
        row.into[to] = codings.reencodable(encoding, encodings.get(to));
      }
    }
    row.targets = IntStream.range(0, chosen).filter(to -> row.into[to]).toArray();
    return row;
  }

  private static double lossOf(double quality) {
    return Space.known(quality) ? 1 - quality : 1;
  }

  private int[][] groups() {
    Map<List<Integer>, List<Integer>> alike = new LinkedHashMap<>();
    for (int number = 0; number < chosen; number++) {
      Encoding encoding = encodings.get(number);
      alike.computeIfAbsent(List.of(encoding.codec(), encoding.retainedPercent()), key -> new ArrayList<>())
          .add(number);
    }
    return alike.values().stream()
        .map(group -> group.stream().mapToInt(Integer::intValue).toArray())
        .toArray(int[][]::new);
  }

  /** The number of an encoding; what was never seen gets one. */
  int number(Encoding encoding) {
    Integer number = numbers.get(encoding);
    if (number == null) {
      number = encodings.size();
      numbers.put(encoding, number);
      encodings.add(encoding);
      rows.add(row(encoding));
    }
    return number;
  }

  Encoding encoding(int number) {
    return encodings.get(number);
  }

  /** How many have a number. */
  int size() {
    return encodings.size();
  }

  /** Those that may be chosen are numbered below this. */
  int chosen() {
    return chosen;
  }

  /** Of each group the numbers of its members. */
  int[][] alike() {
    return groups;
  }

  boolean exact(int number) {
    return rows.get(number).exact;
  }

  /** How many of them are the policy's candidates. */
  int candidates() {
    return chosen - firstCandidate;
  }

  /** Index among the policy's candidates; negative for one that is none. */
  int candidate(int number) {
    return number < chosen ? number - firstCandidate : -1;
  }

  double nominalLoss(int number) {
    return rows.get(number).nominalLoss;
  }

  /** Bytes a chunk is expected to take. */
  double chunkBytes(int number) {
    return rows.get(number).chunkBytes;
  }

  /** Takes note of what a chunk takes. */
  void stored(int number, double bytes) {
    Row row = rows.get(number);
    row.chunkBytes = row.seen ? row.chunkBytes + (bytes - row.chunkBytes) * RECENT : bytes;
    row.seen = true;
  }

  /** Whether what is stored as {@code from} can be encoded as {@code to}, which may be chosen. */
  boolean reencodable(int from, int to) {
    return from == to || rows.get(from).into[to];
  }

  /** What something stored so can be encoded as. */
  int[] targets(int from) {
    return rows.get(from).targets;
  }

  /** A name for messages. */
  String name(int number) {
    Encoding encoding = encodings.get(number);
    return rows.get(number).supported ? codings.name(encoding) : encoding.name("codec-" + encoding.codec());
  }
}
