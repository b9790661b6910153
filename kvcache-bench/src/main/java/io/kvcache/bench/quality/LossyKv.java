package io.kvcache.bench.quality;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.TokenScores;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.PrunedLayer;
import io.kvcache.compress.Compressors;
import io.kvcache.internal.prune.Elements;
import io.kvcache.internal.prune.Gather;
import io.kvcache.internal.prune.Kept;
import io.kvcache.internal.prune.Scorer;
import io.kvcache.internal.prune.Selection;
import io.kvcache.internal.quality.AttentionFidelity;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The full chunks of a document as a cache would give them back, by any encoding. All of them are one run: what token
 * dropping keeps is decided over the whole document.
 */
final class LossyKv implements AttentionFidelity.Rows {
  private final List<Compressor> codecs;
  private final KvLayout layout;
  private final KvState exact;
  private final TokenScores engineScores;
  private final int chunks;
  private final Map<DropMethod, float[][][]> scores = new EnumMap<>(DropMethod.class);

  /** Of the document that {@code exact} holds; it must stay open and as it is. */
  LossyKv(KvLayout layout, KvState exact, TokenScores engineScores) {
    this(layout, exact, engineScores, Compressors.all());
  }

  /** The same with other codecs. */
  LossyKv(KvLayout layout, KvState exact, TokenScores engineScores, List<Compressor> codecs) {
    this.codecs = codecs;
    this.layout = layout;
    this.exact = exact;
    this.engineScores = engineScores;
    chunks = exact.length() / layout.chunkTokens();
  }

  /** Tokens of all full chunks. */
  int tokens() {
    return chunks * layout.chunkTokens();
  }

  /** The exact keys or values of each chunk. */
  @Override
  public List<MemorySegment> chunks(int layer, KvHalf half) {
    MemorySegment rows = half == KvHalf.KEYS ? exact.keys(layer) : exact.values(layer);
    long chunkBytes = (long) layout.chunkTokens() * exact.rowBytes();
    return IntStream.range(0, chunks).mapToObj(chunk -> rows.asSlice(chunk * chunkBytes, chunkBytes))
        .toList();
  }

  /** What comes back. */
  Decoded decoded(Encoding encoding) {
    Kept[] kept = kept(encoding);
    MemorySegment[][][] rows = new MemorySegment[layout.layers().size()][KvHalf.values().length][chunks];
    long[] storedBytes =
        {encoding.dropsTokens() ? chunks * Kept.encodedBytes(layout, encoding.uniform()) : 0};
    for (int layer = 0; layer < rows.length; layer++) {
      for (KvHalf half : KvHalf.values()) {
        List<MemorySegment> dense = chunks(layer, half);
        for (int chunk = 0; chunk < chunks; chunk++) {
          rows[layer][half.ordinal()][chunk] =
              decoded(encoding, kept[chunk], layer, half, dense.get(chunk), storedBytes);
        }
      }
    }
    return new Decoded(kept, rows, storedBytes[0]);
  }

  private MemorySegment decoded(Encoding encoding, Kept kept, int layer, KvHalf half, MemorySegment dense,
      long[] storedBytes) {
    LayerSpec spec = layout.layer(layer);
    int count = kept.count(layer);
    MemorySegment rows = MemorySegment.ofArray(new byte[count * spec.rowBytes(half)]);
    Gather.rows(spec, half, dense, kept, layer, rows);
    return count == 0 ? rows : thereAndBack(encoding.codec(), spec.shape(half, count), rows, storedBytes);
  }

  /** The rows that came back, as {@code [row][kvHead × dim]} for each layer, half and chunk. */
  final class Decoded implements AttentionFidelity.Rows {
    private final Kept[] kept;
    private final MemorySegment[][][] rows;
    private final long storedBytes;

    private Decoded(Kept[] kept, MemorySegment[][][] rows, long storedBytes) {
      this.kept = kept;
      this.rows = rows;
      this.storedBytes = storedBytes;
    }

    /** What they take in a cache: encoded halves, and which tokens are kept where some are dropped. */
    long storedBytes() {
      return storedBytes;
    }

    /** How far the rows that came back are from all that there were; a row that was dropped came back as zeros. */
    RelativeError error(KvHalf half) {
      RelativeError error = new RelativeError();
      for (int layer = 0; layer < rows.length; layer++) {
        List<MemorySegment> dense = LossyKv.this.chunks(layer, half);
        LayerSpec spec = layout.layer(layer);
        for (int chunk = 0; chunk < chunks; chunk++) {
          int count = kept[chunk].count(layer);
          float[] all = Elements.all(spec.shape(half, layout.chunkTokens()), dense.get(chunk));
          if (count == layout.chunkTokens()) {
            error.add(all, Elements.all(spec.shape(half, count), rows[layer][half.ordinal()][chunk]));
            continue;
          }
          error.addDropped(all);
          if (count > 0) {
            MemorySegment exactRows = MemorySegment.ofArray(new byte[count * spec.rowBytes(half)]);
            Gather.rows(spec, half, dense.get(chunk), kept[chunk], layer, exactRows);
            error.addKept(Elements.all(spec.shape(half, count), exactRows),
                Elements.all(spec.shape(half, count), rows[layer][half.ordinal()][chunk]));
          }
        }
      }
      return error;
    }

    @Override
    public List<MemorySegment> chunks(int layer, KvHalf half) {
      return List.of(rows[layer][half.ordinal()]);
    }

    /** In the form that the engine attends to. */
    List<PrunedLayer> layers() {
      return IntStream.range(0, rows.length).mapToObj(layer -> new PrunedLayer(positions(kept, layer),
          headMajor(layer, KvHalf.KEYS), headMajor(layer, KvHalf.VALUES))).toList();
    }

    private MemorySegment headMajor(int layer, KvHalf half) {
      LayerSpec spec = layout.layer(layer);
      int total = Arrays.stream(kept).mapToInt(chunk -> chunk.count(layer)).sum();
      MemorySegment target = MemorySegment.ofArray(new byte[total * spec.rowBytes(half)]);
      int row = 0;
      for (int chunk = 0; chunk < kept.length; chunk++) {
        int count = kept[chunk].count(layer);
        Gather.toHeadMajor(spec, half, count, rows[layer][half.ordinal()][chunk], target, row, total);
        row += count;
      }
      return target;
    }
  }

  private Kept[] kept(Encoding encoding) {
    return Selection.kept(layout, scores.computeIfAbsent(encoding.dropping(), this::rank), encoding);
  }

  /** Scores of every token of the full chunks, [layer][kvHead][token]. */
  float[][][] rank(DropMethod method) {
    float[][][] ranking = new float[layout.layers().size()][][];
    for (int layer = 0; layer < ranking.length; layer++) {
      LayerSpec spec = layout.layer(layer);
      if (method == DropMethod.NONE) {
        ranking[layer] = new float[spec.kvHeads()][tokens()];
      } else if (method.needsScores()) {
        int of = layer;
        ranking[layer] = new float[spec.kvHeads()][];
        Arrays.setAll(ranking[layer],
            head -> Arrays.copyOf(engineScores.of(method, of, head), tokens()));
      } else {
        ranking[layer] = Scorer.score(method, spec, layout.chunkTokens(), 0, chunks(layer, KvHalf.KEYS));
      }
    }
    return ranking;
  }

  private int[][] positions(Kept[] kept, int layer) {
    int[][] positions = new int[layout.layer(layer).kvHeads()][];
    for (int head = 0; head < positions.length; head++) {
      int of = head;
      positions[head] = IntStream.range(0, kept.length).flatMap(chunk -> Arrays
          .stream(kept[chunk].positions(layer, of)).map(offset -> chunk * layout.chunkTokens() + offset))
          .toArray();
    }
    return positions;
  }

  private MemorySegment thereAndBack(int codec, KvShape shape, MemorySegment rows, long[] storedBytes) {
    if (codec == Encoding.RAW.codec()) {
      storedBytes[0] += rows.byteSize();
      return rows;
    }
    Compressor compressor = codecs.stream().filter(each -> each.codec() == codec).findFirst().orElseThrow();
    MemorySegment stored = MemorySegment.ofArray(new byte[(int) compressor.maxStoredBytes(shape)]);
    long bytes = compressor.compress(shape, rows, stored);
    storedBytes[0] += bytes;
    MemorySegment decoded = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
    try {
      compressor.decompress(shape, compressor.parameters(), stored.asSlice(0, bytes), decoded);
    } catch (MalformedDataException e) {
      throw new IllegalStateException(compressor.name() + " does not read what it wrote", e);
    }
    return decoded;
  }
}
