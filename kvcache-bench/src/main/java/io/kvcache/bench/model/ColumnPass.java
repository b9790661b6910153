package io.kvcache.bench.model;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * One run of many tokens through all layers; the vector axis is the token. Tokens are cut into blocks of
 * columns, activations are [element][column]. Per layer two rounds of tasks are shared out: attention per
 * block and KV head, then everything that needs no other token per block. Serves for one call.
 */
final class ColumnPass {
  /** Columns of a block at most: long loops, while a block's activations still fit the L2 cache. */
  private static final int MAX_COLUMNS = 256;

  /** Blocks that a short run is cut into for the sake of several threads, if each gets this many columns. */
  private static final int SHORT_RUN_BLOCKS = 4;

  private static final int MIN_COLUMNS = 128;

  /** Consecutive tokens and their activations. */
  private static final class Block {
    final int firstToken;
    final int columns;
    final float[][] x;
    final float[][] queries;
    final float[][] attended;

    Block(ModelConfig config, int firstToken, int columns) {
      this.firstToken = firstToken;
      this.columns = columns;
      x = new float[config.width()][columns];
      queries = new float[config.width()][columns];
      attended = new float[config.width()][columns];
    }
  }

  /** Working memory of one thread. */
  private static final class Scratch {
    final float[][] normal;
    final float[] inverseRms;
    final float[][] kv;
    final short[] kvRows;
    final float[][] gate;
    final float[][] up;
    final ColumnAttention attention;

    Scratch(ModelConfig config, int columns, int entries) {
      normal = new float[config.width()][columns];
      inverseRms = new float[columns];
      kv = new float[config.kvWidth()][columns];
      kvRows = new short[columns * config.kvWidth()];
      gate = new float[config.hidden()][columns];
      up = new float[config.hidden()][columns];
      attention = new ColumnAttention(config, columns, entries);
    }
  }

  private final ModelWeights weights;
  private final ModelConfig config;
  private final Rotary rotary;
  private final Workers workers;
  private final KvState state;
  private final int tokens;
  private final PrefillNotes notes;
  private final Block[] blocks;
  private final Scratch[] scratch;

  /**
   * Prepares a run that appends the tokens to the state.
   *
   * @param notes takes what is to be noted down
   */
  ColumnPass(
      ModelWeights weights, Rotary rotary, Workers workers, KvState state, int[] tokens,
      PrefillNotes notes) {
    this.weights = weights;
    this.rotary = rotary;
    this.workers = workers;
    this.state = state;
    this.tokens = tokens.length;
    this.notes = notes;
    config = weights.config();
    blocks = cut(tokens);
    int entries = IntStream.range(0, config.layers() * config.kvHeads())
        .map(each -> state.entries(each / config.kvHeads(), each % config.kvHeads(),
            state.length() + tokens.length))
        .max().orElseThrow();
    scratch = new Scratch[workers.threads()];
    Arrays.setAll(scratch, i -> new Scratch(config, blocks[0].columns, entries));
  }

  /**
   * Cuts the tokens into blocks of nearly equal size, the first being the largest, and embeds them. The
   * number of threads has no say, since attention scores are summed up block by block.
   */
  private Block[] cut(int[] tokenIds) {
    int count = Math.max((tokens - 1) / MAX_COLUMNS + 1, Math.min(SHORT_RUN_BLOCKS, tokens / MIN_COLUMNS));
    int columns = (tokens - 1) / count + 1;
    Block[] cut = new Block[(tokens - 1) / columns + 1];
    for (int b = 0; b < cut.length; b++) {
      int first = b * columns;
      cut[b] = new Block(config, first, Math.min(columns, tokens - first));
      for (int j = 0; j < cut[b].columns; j++) {
        float[] embedding = weights.embedding(tokenIds[first + j]);
        for (int i = 0; i < embedding.length; i++) {
          cut[b].x[i][j] = embedding[i];
        }
      }
    }
    return cut;
  }

  /** Runs, and returns the last layer's output for the last {@code keep} tokens, [token][width]. */
  float[][] run(int keep) {
    workers.forEach(blocks.length, (b, runner) -> project(0, blocks[b], scratch[runner]));
    for (int layer = 0; layer < config.layers(); layer++) {
      attend(layer);
      int current = layer;
      workers.forEach(blocks.length, (b, runner) -> {
        feedForward(weights.layers().get(current), blocks[b], scratch[runner]);
        if (current + 1 < config.layers()) {
          project(current + 1, blocks[b], scratch[runner]);
        }
      });
    }
    state.advance(tokens);
    float[][] last = new float[keep][];
    Arrays.setAll(last, i -> column(tokens - keep + i));
    return last;
  }

  private float[] column(int token) {
    Block block = blocks[token / blocks[0].columns];
    float[] column = new float[config.width()];
    for (int i = 0; i < column.length; i++) {
      column[i] = block.x[i][token - block.firstToken];
    }
    return column;
  }

  /** Writes the block's keys and values to the state and leaves its scaled queries in the block. */
  private void project(int layer, Block block, Scratch s) {
    ModelWeights.Layer w = weights.layers().get(layer);
    int columns = block.columns;
    int position = state.length() + block.firstToken;
    normalise(block, w.attentionGains(), s);

    clear(block.queries, columns);
    w.query().addProduct(block.queries, s.normal, columns);
    if (notes.queries() != null) {
      notes.queries().put(layer, position, block.queries, columns);
    }
    rotary.rotate(block.queries, columns, position);
    for (float[] row : block.queries) {
      Kernels.scale(row, config.queryScale(), columns);
    }
    clear(s.kv, columns);
    w.key().addProduct(s.kv, s.normal, columns);
    rotary.rotate(s.kv, columns, position);
    state.element().roundTransposed(s.kv, columns, s.kvRows);
    state.writeKeys(layer, position, s.kvRows, columns);

    clear(s.kv, columns);
    w.value().addProduct(s.kv, s.normal, columns);
    state.element().roundTransposed(s.kv, columns, s.kvRows);
    state.writeValues(layer, position, s.kvRows, columns);
  }

  private void attend(int layer) {
    int kvHeads = config.kvHeads();
    List<AttentionScores> scores = notes.attention();
    float[][][] mass = new float[blocks.length * kvHeads][][];
    workers.forEach(mass.length, (task, runner) -> {
      Block block = blocks[blocks.length - 1 - task / kvHeads]; // the longest first, for even ends
      int kvHead = task % kvHeads;
      ColumnAttention attention = scratch[runner].attention;
      int end = state.length() + block.firstToken + block.columns;
      attention.load(state, layer, kvHead, end);
      mass[task] = attention.attend(kvHead, block.queries, block.attended, block.columns,
          end - block.columns, scores);
    });
    for (int task = 0; task < mass.length; task++) {
      for (int i = 0; i < scores.size(); i++) {
        if (mass[task][i] != null) { // put together here rather than by the threads, to keep one order
          int kvHead = task % kvHeads;
          int[] positions = state.positions(layer, kvHead, state.length() + tokens);
          scores.get(i).add(layer, kvHead, positions, mass[task][i]);
        }
      }
    }
  }

  private void feedForward(ModelWeights.Layer w, Block block, Scratch s) {
    int columns = block.columns;
    w.output().addProduct(block.x, block.attended, columns);
    normalise(block, w.mlpGains(), s);
    clear(s.gate, columns);
    clear(s.up, columns);
    w.gate().addProduct(s.gate, s.normal, columns);
    w.up().addProduct(s.up, s.normal, columns);
    for (int i = 0; i < s.gate.length; i++) {
      Kernels.swiglu(s.gate[i], s.up[i], columns);
    }
    w.down().addProduct(block.x, s.gate, columns);
  }

  private void normalise(Block block, float[] gains, Scratch s) {
    Arrays.fill(s.inverseRms, 0);
    for (float[] row : block.x) {
      Kernels.addSquares(s.inverseRms, row, block.columns);
    }
    for (int j = 0; j < block.columns; j++) {
      s.inverseRms[j] = Kernels.inverseRms(s.inverseRms[j], block.x.length);
    }
    for (int i = 0; i < block.x.length; i++) {
      Kernels.scale(s.normal[i], block.x[i], s.inverseRms, gains[i], block.columns);
    }
  }

  private static void clear(float[][] rows, int columns) {
    for (float[] row : rows) {
      Arrays.fill(row, 0, columns, 0);
    }
  }
}
