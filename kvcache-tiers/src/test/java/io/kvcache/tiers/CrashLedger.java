package io.kvcache.tiers;

import io.kvcache.ChunkKey;
import io.kvcache.testkit.TestPrompt;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * What must be, and what may be, in the SSD tier of a {@link CrashChild}, from its reports alone. Entries that the
 * cache decided to remove, to make room or to move them, are told by that from entries that were lost.
 */
final class CrashLedger {
  private final CrashWorkload workload;
  /** Entries whose commit was acknowledged, and that nobody has touched since. */
  private final Set<String> present = new HashSet<>();
  /** Entries whose commit or removal was under way when last heard of. */
  private final Set<String> uncertain = new HashSet<>();
  /** Those of the present that a sync has covered. */
  private final Set<String> durable = new HashSet<>();
  /** Syncs under way, and what they will cover. */
  private final Map<String, Set<String>> syncs = new HashMap<>();
  /** Flushes of the cache under way, and the entries dropped since they began. */
  private final Map<String, Set<String>> flushes = new HashMap<>();
  /** Versions of a chunk that were stored, or perhaps so, since it was last removed. */
  private final Map<ChunkKey, Set<Long>> versions = new HashMap<>();
  private final Map<Long, List<ChunkKey>> stores = new HashMap<>();
  private final List<String> problems = new ArrayList<>();
  private final Set<String> listed = new HashSet<>();
  private final Map<String, Integer> events = new TreeMap<>();
  private long capacityBytes;
  private boolean shrinks;
  private boolean opened;
  private boolean finished;
  private int acknowledged;

  CrashLedger(CrashWorkload workload) {
    this.workload = workload;
  }

  /** A child is going to open the store; one that has become smaller drops what it likes. */
  void starts(CrashOptions options) {
    shrinks = options.ssdBytes() < capacityBytes;
    capacityBytes = options.ssdBytes();
    if (shrinks) {
      uncertain.addAll(present);
      present.clear();
      durable.clear();
    }
    listed.clear();
    opened = false;
    finished = false;
  }

  /** Takes note of a line of the child's. */
  void heard(String line) {
    String[] words = line.split(" ");
    switch (words[0]) {
      case "has" -> listed.add(words[1]);
      case "opened" -> opened();
      case "putting" -> touched(words[1]);
      case "put" -> put(words[1]);
      case "dropping" -> each(words, this::dropping);
      case "dropped" -> each(words, this::dropped);
      case "syncing" -> syncs.put(words[1], new HashSet<>(present));
      case "synced" -> durable.addAll(syncs.remove(words[1]));
      case "flushing" -> flushes.put(words[1], new HashSet<>());
      case "flushed" -> flushed(flushes.remove(words[1]), Long.parseLong(words[2]));
      case "storing" -> storing(words);
      case "stored" -> stores.remove(Long.parseLong(words[1]));
      case "withdrawn" -> withdrawn(Long.parseLong(words[1]));
      case "removed" -> removed(workload.prompts().get(Integer.parseInt(words[1])));
      case "cleared" -> cleared(Integer.parseInt(words[1]));
      case "removing", "clearing" -> {
      }
      case "event" -> events.merge(words[1], 1, Integer::sum);
      case "finished" -> finished = true;
      default -> problems.add("the child says: " + line);
    }
    acknowledged += words[0].endsWith("ed") || words[0].equals("put") ? 1 : 0;
  }

  private interface OnId {
    void with(String id);
  }

  private static void each(String[] words, OnId what) {
    for (int i = 1; i < words.length; i++) {
      what.with(words[i]);
    }
  }

  private void opened() {
    if (!shrinks && !(listed.containsAll(present) && possible().containsAll(listed))) {
      problems.add(
          "the child opened " + listed.size() + " entries, not those that were there: " + present.size());
    }
    opened = true;
    present.clear();
    present.addAll(listed);
    uncertain.clear();
    durable.retainAll(listed);
  }

  /** Something is about to happen to an entry, whether it is there now or not. */
  private void touched(String id) {
    present.remove(id);
    durable.remove(id);
    syncs.values().forEach(sync -> sync.remove(id));
    uncertain.add(id);
  }

  private void dropping(String id) {
    if (present.contains(id)) { // removing what is not there does not bring it
      touched(id);
    }
  }

  private void put(String id) {
    uncertain.remove(id);
    present.add(id);
  }

  private void dropped(String id) {
    uncertain.remove(id);
    present.remove(id);
    flushes.values().forEach(since -> since.add(id));
  }

  /** What a flush says is durable was in the tier at some time since it began. */
  private void flushed(Set<String> droppedSince, long durableChunks) {
    Set<String> ids = possible();
    ids.addAll(droppedSince);
    long chunks = ids.stream().map(CrashLedger::chunk).distinct().count();
    if (chunks < durableChunks) {
      problems.add("a flush said that " + durableChunks + " chunks are durable, the tier had " + chunks);
    }
  }

  private static String chunk(String id) {
    return id.substring(0, id.indexOf(':'));
  }

  private void storing(String[] words) {
    int first = Integer.parseInt(words[3]);
    List<ChunkKey> keys = workload.prompts().get(Integer.parseInt(words[2])).keys()
        .subList(first, first + Integer.parseInt(words[4]));
    long version = Long.parseLong(words[1]);
    stores.put(version, keys);
    keys.forEach(key -> versions(key).add(version));
  }

  private void withdrawn(long version) {
    stores.remove(version).forEach(key -> versions(key).remove(version));
  }

  /** What continues the prompt is gone, and its last chunk; of those before others may need some. */
  private void removed(TestPrompt prompt) {
    int last = prompt.keys().size() - 1;
    for (TestPrompt other : workload.prompts()) {
      if (other.keys().size() > last && other.keys().get(last).equals(prompt.keys().get(last))) {
        other.keys().subList(last, other.keys().size()).forEach(key -> versions(key).clear());
      }
    }
  }

  private void cleared(int namespace) {
    workload.prompts().stream().filter(prompt -> prompt.namespace().equals(workload.namespace(namespace)))
        .flatMap(prompt -> prompt.keys().stream()).forEach(key -> versions(key).clear());
  }

  /** Versions that a chunk may be of; none when it must not be found. */
  Set<Long> versions(ChunkKey key) {
    return versions.computeIfAbsent(key, any -> new HashSet<>());
  }

  /** Entries that may be there. */
  Set<String> possible() {
    Set<String> all = new HashSet<>(present);
    all.addAll(uncertain);
    return all;
  }

  /** Entries that must be there: a kill loses nothing that was acknowledged, a power cut what was not synced. */
  Set<String> certain(boolean powerCut) {
    return powerCut ? durable : present;
  }

  /** Leading chunks of a prompt that must be found. */
  int leading(TestPrompt prompt, boolean powerCut) {
    int chunks = 0;
    while (chunks < prompt.keys().size()
        && (certain(powerCut).contains(prompt.keys().get(chunks) + ":0")
            || certain(powerCut).contains(prompt.keys().get(chunks) + ":1"))) {
      chunks++;
    }
    return chunks;
  }

  /** What was reported that cannot be right. */
  List<String> problems() {
    return problems;
  }

  /** How often the cache did what. */
  Map<String, Integer> events() {
    return events;
  }

  /** Whether the child had opened the store, and made it smaller where it had to. */
  boolean hasOpened() {
    return opened;
  }

  /** Whether the child came to its end. */
  boolean finished() {
    return finished;
  }

  int acknowledged() {
    return acknowledged;
  }

  /**
   * Goes on from what was found after a crash: exactly that is there now, and durable, but that some of it may have
   * been removed after it was found.
   */
  void restarted(Set<String> found, Set<String> perhapsRemoved, Map<ChunkKey, Long> foundVersions) {
    present.clear();
    present.addAll(found);
    present.removeAll(perhapsRemoved);
    durable.clear();
    durable.addAll(present);
    uncertain.clear();
    uncertain.addAll(perhapsRemoved);
    syncs.clear();
    flushes.clear();
    stores.clear();
    versions.forEach((key, possible) -> {
      boolean full = found.contains(key + ":0");
      boolean serving = found.contains(key + ":1");
      if (!full && !serving) {
        possible.clear();
      } else if (full != serving && foundVersions.containsKey(key)) {
        possible.retainAll(Set.of(foundVersions.get(key)));
      }
    });
  }
}
