package io.kvcache;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Objects;

/**
 * Everything besides the tokens that determines their KV, and the tenant it belongs to. Contexts of different
 * namespaces never share a chunk.
 *
 * <p>Build one with {@link #of} and the {@code with} methods. Whatever changes the numbers a model computes
 * belongs in here: stale KV of another revision is the one error a checksum cannot find.
 *
 * @param model the weights and their revision, such as {@code llama-3.1-8b-instruct@0e9e39f}, not blank
 * @param adapter LoRA or other adapter; empty for none
 * @param ropeScaling rotary scaling as the engine names it; empty for none
 * @param engine engine and build, as far as it changes what KV means; empty when it does not
 * @param rank this process's tensor-parallel rank, from 0
 * @param ranks tensor-parallel size, at least 1
 * @param firstLayer index in the model of the layout's first layer: above 0 in the later stages of a pipeline
 * @param layout how the KV is laid out
 * @param tenantSalt arbitrary bytes, up to {@value #MAX_SALT_BYTES}, that keep one tenant's contexts from
 *     another's; empty to share. A secret salt keeps others from probing what is cached.
 */
public record Namespace(
    String model,
    String adapter,
    String ropeScaling,
    String engine,
    int rank,
    int ranks,
    int firstLayer,
    KvLayout layout,
    TenantSalt tenantSalt) {
  /** Most bytes a tenant salt may have. */
  public static final int MAX_SALT_BYTES = 4096;

  /** Most characters a name may have. */
  public static final int MAX_NAME_LENGTH = 4096;

  /** Checks every component. */
  public Namespace {
    requireName(model, "model");
    if (model.isBlank()) {
      throw new IllegalArgumentException("model is blank; name the weights and their revision");
    }
    requireName(adapter, "adapter");
    requireName(ropeScaling, "ropeScaling");
    requireName(engine, "engine");
    Checks.requireBetween(ranks, 1, 1 << 16, "ranks");
    Checks.requireBetween(rank, 0, ranks - 1, "rank");
    Checks.requireBetween(firstLayer, 0, 1 << 16, "firstLayer");
    Objects.requireNonNull(layout, "layout");
    Objects.requireNonNull(tenantSalt, "tenantSalt");
  }

  /** A namespace for one unsharded model without adapter, shared by all tenants. */
  public static Namespace of(String model, KvLayout layout) {
    return new Namespace(model, "", "", "", 0, 1, 0, layout, new TenantSalt(new byte[0]));
  }

  /** With this adapter. */
  public Namespace withAdapter(String name) {
    return new Namespace(model, name, ropeScaling, engine, rank, ranks, firstLayer, layout, tenantSalt);
  }

  /** With this rotary scaling. */
  public Namespace withRopeScaling(String name) {
    return new Namespace(model, adapter, name, engine, rank, ranks, firstLayer, layout, tenantSalt);
  }

  /** With this engine build. */
  public Namespace withEngine(String build) {
    return new Namespace(model, adapter, ropeScaling, build, rank, ranks, firstLayer, layout, tenantSalt);
  }

  /** For this rank of so many. */
  public Namespace withRank(int tensorParallelRank, int of) {
    return new Namespace(
        model, adapter, ropeScaling, engine, tensorParallelRank, of, firstLayer, layout, tenantSalt);
  }

  /** For the pipeline stage whose first layer is this one of the model, from 0. */
  public Namespace withFirstLayer(int index) {
    return new Namespace(model, adapter, ropeScaling, engine, rank, ranks, index, layout, tenantSalt);
  }

  /** For the tenant with this salt. */
  public Namespace withTenant(byte[] salt) {
    return new Namespace(model, adapter, ropeScaling, engine, rank, ranks, firstLayer, layout,
        new TenantSalt(salt));
  }

  private static void requireName(String value, String name) {
    Objects.requireNonNull(value, name);
    Checks.requireBetween(value.length(), 0, MAX_NAME_LENGTH, "length of " + name);
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(value)) {
      throw new IllegalArgumentException(name + " has half of a surrogate pair, which no UTF-8 stands for");
    }
  }

  /** The bytes the chain of chunk keys starts from; see {@code FORMAT.md}. */
  byte[] encoded() {
    byte[][] fields = {
      utf8(model), utf8(adapter), utf8(ropeScaling), utf8(engine), encodedShard(), layout.encoded(),
      tenantSalt.bytes
    };
    int length = 0;
    for (byte[] field : fields) {
      length += 4 + field.length;
    }
    ByteBuffer out = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    for (byte[] field : fields) {
      out.putInt(field.length).put(field);
    }
    return out.array();
  }

  private byte[] encodedShard() {
    return ByteBuffer.allocate(12).order(ByteOrder.LITTLE_ENDIAN).putInt(rank).putInt(ranks)
        .putInt(firstLayer)
        .array();
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /** A tenant's salt: bytes that are compared, hashed and never printed. */
  public static final class TenantSalt {
    private final byte[] bytes;

    /** Copies {@code bytes}. */
    public TenantSalt(byte[] bytes) {
      Checks.requireBetween(bytes.length, 0, MAX_SALT_BYTES, "bytes of the tenant salt");
      this.bytes = bytes.clone();
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof TenantSalt salt && Arrays.equals(bytes, salt.bytes);
    }

    @Override
    public int hashCode() {
      return Arrays.hashCode(bytes);
    }

    /** Says how long the salt is, not what it is: salts may be secret. */
    @Override
    public String toString() {
      return bytes.length + " bytes";
    }
  }
}
