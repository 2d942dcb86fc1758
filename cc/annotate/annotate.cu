#include "cc/annotate/annotate_cuda.h"
#include "cc/annotate/pixel.h"
#include "cc/annotate/segment.h"
#include "cc/annotate/tag_place.h"
#include "cc/cuda/launch.h"

namespace roadmark {
namespace cuda {
namespace {

constexpr int kWarpSize = 32;
constexpr unsigned kFullWarp = 0xffffffffu;

// A thread block draws on a tile of so many chroma samples and the pixels under them.
constexpr int kTileRows = 8, kTileColumns = kWarpSize;
constexpr int kThreads = kTileRows * kTileColumns;
constexpr int kWarps = kThreads / kWarpSize;

// A character of a label.
struct PlacedGlyph {
  int64_t left;  // From the left end of the text.
  int32_t top;   // From the top of the line.
  int32_t height, width, offset;
};

// Where an object is drawn, and with what.
struct PlacedObject {
  Rect box, trail, tag;  // Empty: nothing is drawn. Trails: around all segments.
  Ink ink, text_ink;
  int32_t text_length;
};

// What is known of a tag before other tags are placed.
struct TagRequest {
  Rect box;
  Size size;                   // 0 x 0: no tag.
  int64_t hidden[kTagPlaces];  // Of boxes, in each place.
};

struct Buffers {
  PlacedObject* objects;  // [capacity]
  TagRequest* requests;   // [capacity]
  PlacedGlyph* glyphs;    // [capacity, label_length]
};

Buffers TakeBuffers(int64_t capacity, int64_t label_length, Workspace* workspace) {
  return {workspace->Take<PlacedObject>(capacity), workspace->Take<TagRequest>(capacity),
          workspace->Take<PlacedGlyph>(capacity * label_length)};
}

// The kernels' arguments.
struct Scene {
  Nv12Picture picture;
  Objects objects;
  DeviceGlyphAtlas atlas;
  Style style;
  Buffers buffers;

  __device__ Rect Bounds() const { return {0, 0, picture.height, picture.width}; }

  __device__ int64_t Count() const {
    if (!objects.count) return objects.capacity;
    const int64_t count = *objects.count < 0 ? 0 : *objects.count;
    return count < objects.capacity ? count : objects.capacity;
  }

  // Empty for a box with NaN.
  __device__ Rect BoxOf(int64_t i) const {
    const Box& box = objects.boxes[i];
    const bool is_nan = box.ymin != box.ymin || box.xmin != box.xmin || box.ymax != box.ymax ||
                        box.xmax != box.xmax;
    return is_nan ? Rect{} : ToPixels(box);
  }

  // Where the points of a trail begin in all of them; object -1 ends there.
  __device__ int64_t TrailEnd(int64_t i) const {
    const int64_t end = i < 0 ? 0 : objects.trail_ends[i];
    return end < 0 ? 0 : (end < objects.num_trail_points ? end : objects.num_trail_points);
  }
};

struct Trail {
  const Point* points;
  int64_t count;
  int64_t width;
  int opacity;

  __device__ Trail(const Scene& scene, int64_t object)
      : points(scene.objects.trail_points + scene.TrailEnd(object - 1)),
        count(scene.TrailEnd(object) - scene.TrailEnd(object - 1)),
        width(scene.style.trail_width),
        opacity(scene.style.opacity) {}

  __device__ int64_t segments() const { return count - 1; }
  __device__ Segment At(int64_t i) const { return SegmentOf(points, count, i, width, opacity); }
};

__device__ bool IsNan(const Segment& segment) {
  return segment.from.y != segment.from.y || segment.from.x != segment.from.x ||
         segment.to.y != segment.to.y || segment.to.x != segment.to.x;
}

__device__ bool Contains(const Rect& rect, int64_t y, int64_t x) {
  return rect.top <= y && y < rect.bottom && rect.left <= x && x < rect.right;
}

__device__ bool Overlap(const Rect& a, const Rect& b) { return !Intersection(a, b).empty(); }

__device__ int64_t WarpSum(int64_t value) {
  for (int step = kWarpSize / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(kFullWarp, value, step);
  }
  return value;
}

__device__ Rect WarpUnion(Rect rect) {
  for (int step = kWarpSize / 2; step > 0; step /= 2) {
    const Rect other = {__shfl_xor_sync(kFullWarp, rect.top, step),
                        __shfl_xor_sync(kFullWarp, rect.left, step),
                        __shfl_xor_sync(kFullWarp, rect.bottom, step),
                        __shfl_xor_sync(kFullWarp, rect.right, step)};
    rect = Union(rect, other);
  }
  return rect;
}

__device__ Rect TrailBounds(const Scene& scene, int64_t object, int lane) {
  constexpr int64_t kFar = int64_t{1} << 40;
  Rect bounds = {kFar, kFar, -kFar, -kFar};
  if (!scene.objects.trail_ends) return bounds;
  const Trail trail(scene, object);
  for (int64_t i = lane; i < trail.segments(); i += kWarpSize) {
    const Segment segment = trail.At(i);
    if (!IsNan(segment)) bounds = Union(bounds, Around(segment));
  }
  return WarpUnion(bounds);
}

// Lays out an object's label; returns the width of the text and its length. Called by a warp.
__device__ int64_t PlaceText(const Scene& scene, int64_t object, int lane, int32_t* length) {
  const int64_t most = scene.objects.label_length;
  const int32_t* label = scene.objects.labels + object * most;
  const GlyphAtlas& atlas = scene.atlas.atlas;
  int64_t pen = 0;
  *length = 0;
  for (int64_t begin = 0; begin < most; begin += kWarpSize) {
    const int32_t character = begin + lane < most ? label[begin + lane] : 0;
    const unsigned ends = __ballot_sync(kFullWarp, character == 0);
    const int characters = ends ? __ffs(static_cast<int>(ends)) - 1 : kWarpSize;
    Glyph glyph = {};
    if (lane < characters) glyph = FindGlyph(atlas, static_cast<char32_t>(character));
    int64_t after = glyph.advance;
    for (int step = 1; step < kWarpSize; step *= 2) {
      const int64_t before = __shfl_up_sync(kFullWarp, after, step);
      if (lane >= step) after += before;
    }
    const bool fits =
        glyph.width > 0 && glyph.height > 0 && glyph.offset >= 0 &&
        glyph.offset + int64_t{glyph.width} * glyph.height <= scene.atlas.coverage_bytes;
    if (lane < characters) {
      scene.buffers.glyphs[object * most + begin + lane] = {
          pen + after - glyph.advance + glyph.left, glyph.top, fits ? glyph.height : 0,
          fits ? glyph.width : 0, glyph.offset};
    }
    pen += __shfl_sync(kFullWarp, after, kWarpSize - 1);
    *length += characters;
    if (ends) break;
  }
  return pen > 0 ? pen : 0;
}

// Everything about an object but the place of its tag. A warp per object.
__global__ void __launch_bounds__(kWarpSize) PrepareKernel(Scene scene) {
  const int64_t object = blockIdx.x;
  const int lane = static_cast<int>(threadIdx.x);
  const int64_t count = scene.Count();
  if (object >= count) return;
  PlacedObject placed = {};
  TagRequest request = {};
  placed.box = request.box = scene.BoxOf(object);
  placed.trail = TrailBounds(scene, object, lane);
  placed.ink = YuvInk(scene.picture.encoding, scene.objects.colours + 3 * object);
  placed.text_ink = YuvInk(scene.picture.encoding, scene.objects.text_colours + 3 * object);
  const int64_t width = PlaceText(scene, object, lane, &placed.text_length);
  if (width > 0 && !placed.box.empty()) {
    request.size = {scene.atlas.atlas.line_height, width + 2 * scene.style.margin};
    Rect places[kTagPlaces];
    for (int k = 0; k < kTagPlaces; ++k) {
      places[k] = TagPlace(k, scene.Bounds(), request.box, request.size, scene.style.line_width);
    }
    for (int64_t i = lane; i < count; i += kWarpSize) {
      const Rect other = Intersection(scene.BoxOf(i), scene.Bounds());
      for (int k = 0; k < kTagPlaces; ++k) request.hidden[k] += HiddenShare(places[k], other);
    }
    for (int k = 0; k < kTagPlaces; ++k) request.hidden[k] = WarpSum(request.hidden[k]);
  }
  if (lane != 0) return;
  scene.buffers.objects[object] = placed;
  scene.buffers.requests[object] = request;
}

// One tag after the other, since each keeps clear of those before it: one warp.
__global__ void __launch_bounds__(kWarpSize) PlaceTagsKernel(Scene scene) {
  __shared__ TagRequest requests[kWarpSize];
  const int lane = static_cast<int>(threadIdx.x);
  const int64_t count = scene.Count();
  PlacedObject* objects = scene.buffers.objects;
  for (int64_t object = 0; object < count; ++object) {
    if (object % kWarpSize == 0) {
      __syncwarp();
      if (object + lane < count) requests[lane] = scene.buffers.requests[object + lane];
      __syncwarp();
    }
    const TagRequest& request = requests[object % kWarpSize];
    if (request.size.width == 0) continue;
    Rect best = {};
    int64_t least = -1;
    for (int k = 0; k < kTagPlaces; ++k) {
      const Rect place =
          TagPlace(k, scene.Bounds(), request.box, request.size, scene.style.line_width);
      if (place.empty()) continue;
      int64_t hidden = 0;
      for (int64_t i = lane; i < object; i += kWarpSize) {
        hidden += kTagWeight * HiddenShare(place, objects[i].tag);
      }
      hidden = WarpSum(hidden) + request.hidden[k];
      if (least < 0 || hidden < least) least = hidden, best = place;
      if (hidden <= kBearable) break;
    }
    if (lane == 0) objects[object].tag = best;
    __syncwarp();
  }
}

// A chroma sample and the pixels under it. At an odd edge those that are missing repeat the ones
// beside them, as the mean of alphas wants it.
struct Quad {
  int64_t rows[2], columns[2];
  uint8_t luma[4], chroma[2];

  // `alpha(y, x)` is that of a pixel.
  template <typename Alpha>
  __device__ void Draw(const Ink& ink, const Alpha& alpha) {
    const uint8_t alphas[4] = {alpha(rows[0], columns[0]), alpha(rows[0], columns[1]),
                               alpha(rows[1], columns[0]), alpha(rows[1], columns[1])};
    Blend(ink, alphas);
  }

  __device__ void Blend(const Ink& ink, const uint8_t (&alphas)[4]) {
    for (int k = 0; k < 4; ++k) luma[k] = Mix(luma[k], ink.samples[0], alphas[k]);
    const uint8_t mean = MeanAlpha(alphas[0], alphas[1], alphas[2], alphas[3]);
    for (int c = 0; c < 2; ++c) chroma[c] = Mix(chroma[c], ink.samples[1 + c], mean);
  }
};

// Draws on one tile. All functions are called by all threads of a block.
class TilePainter {
 public:
  __device__ TilePainter(const Scene& scene, int32_t* list, int* warp_counts)
      : scene_(scene), count_(scene.Count()), list_(list), warp_counts_(warp_counts) {
    const Nv12Picture& picture = scene.picture;
    const int64_t across = (picture.width + 2 * kTileColumns - 1) / (2 * kTileColumns);
    tile_.top = blockIdx.x / across * 2 * kTileRows;
    tile_.left = blockIdx.x % across * 2 * kTileColumns;
    tile_.bottom = tile_.top + 2 * kTileRows;
    tile_.right = tile_.left + 2 * kTileColumns;
    const int thread = static_cast<int>(threadIdx.x);
    y_ = tile_.top + 2 * (thread / kTileColumns);
    x_ = tile_.left + 2 * (thread % kTileColumns);
    const auto last = [](int64_t position, int64_t size) {
      return position < size ? position : size - 1;
    };
    quad_.rows[0] = last(y_, picture.height);
    quad_.rows[1] = last(y_ + 1, picture.height);
    quad_.columns[0] = last(x_, picture.width);
    quad_.columns[1] = last(x_ + 1, picture.width);
  }

  // Whether anything may be drawn here.
  __device__ bool IsTouched() const {
    if (scene_.objects.masks) return count_ > 0;
    bool is_touched = false;
    for (int64_t i = threadIdx.x; i < count_; i += kThreads) {
      is_touched |= HasTrail(i) || HasFrame(i) || HasTag(i);
    }
    return __syncthreads_or(is_touched);
  }

  // Layer by layer, the last object first.
  __device__ void Paint() {
    Load();
    if (scene_.objects.masks) {
      for (int64_t i = count_ - 1; i >= 0; --i) DrawMask(i);
    }
    if (scene_.objects.trail_ends) {
      ForEach([&](int64_t i) { return HasTrail(i); }, [&](int64_t i) { DrawTrail(i); });
    }
    ForEach([&](int64_t i) { return HasFrame(i); }, [&](int64_t i) { DrawFrame(i); });
    ForEach([&](int64_t i) { return HasTag(i); }, [&](int64_t i) { DrawTag(i); });
    Store();
  }

 private:
  __device__ const PlacedObject& At(int64_t i) const { return scene_.buffers.objects[i]; }

  __device__ bool HasTrail(int64_t i) const { return Overlap(At(i).trail, tile_); }
  __device__ bool HasTag(int64_t i) const { return Overlap(At(i).tag, tile_); }
  __device__ bool HasFrame(int64_t i) const {
    const Rect& box = At(i).box;
    if (!Overlap(box, tile_)) return false;
    const Rect inner = Inside(box, scene_.style.line_width);
    const bool is_within = inner.top <= tile_.top && tile_.bottom <= inner.bottom &&
                           inner.left <= tile_.left && tile_.right <= inner.right;
    return !is_within;
  }

  // draw(i) for all objects with has(i), the last first.
  template <typename Has, typename DrawObject>
  __device__ void ForEach(const Has& has, const DrawObject& draw) {
    const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize;
    for (int64_t last = count_ - 1; last >= 0; last -= kThreads) {
      const int64_t own = last - thread;
      const bool is_listed = own >= 0 && has(own);
      const unsigned listed = __ballot_sync(kFullWarp, is_listed);
      if (lane == 0) warp_counts_[thread / kWarpSize] = __popc(listed);
      __syncthreads();
      int before = 0, all = 0;
      for (int warp = 0; warp < kWarps; ++warp) {
        if (warp < thread / kWarpSize) before += warp_counts_[warp];
        all += warp_counts_[warp];
      }
      const int at = before + __popc(listed & ((1u << lane) - 1));
      if (is_listed) list_[at] = static_cast<int32_t>(own);
      __syncthreads();
      for (int k = 0; k < all; ++k) draw(list_[k]);
      __syncthreads();
    }
  }

  __device__ void DrawMask(int64_t i) {
    const Nv12Picture& picture = scene_.picture;
    const uint8_t* mask = scene_.objects.masks + i * picture.height * picture.width;
    const auto opacity = static_cast<uint8_t>(scene_.style.mask_opacity);
    quad_.Draw(At(i).ink, [&](int64_t y, int64_t x) {
      return mask[y * picture.width + x] ? opacity : uint8_t{0};
    });
  }

  __device__ void DrawTrail(int64_t i) {
    const Trail trail(scene_, i);
    uint8_t alphas[4] = {};
    for (int64_t s = 0; s < trail.segments(); ++s) {
      const Segment segment = trail.At(s);
      if (IsNan(segment)) continue;
      const Rect around = Around(segment);
      if (!Overlap(around, tile_)) continue;
      for (int row = 0; row < 2; ++row) {
        const int64_t y = quad_.rows[row];
        if (y < around.top || y >= around.bottom) continue;
        const Rect part = Around(PartNear(segment, y));
        for (int column = 0; column < 2; ++column) {
          const int64_t x = quad_.columns[column];
          if (x < part.left || x >= part.right) continue;
          const uint8_t alpha = AlphaAt(segment, y, x);
          uint8_t& most = alphas[2 * row + column];
          most = alpha > most ? alpha : most;
        }
      }
    }
    quad_.Blend(At(i).ink, alphas);
  }

  __device__ void DrawFrame(int64_t i) {
    const Rect& box = At(i).box;
    const Rect inner = Inside(box, scene_.style.line_width);
    const auto opacity = static_cast<uint8_t>(scene_.style.opacity);
    quad_.Draw(At(i).ink, [&](int64_t y, int64_t x) {
      return Contains(box, y, x) && !Contains(inner, y, x) ? opacity : uint8_t{0};
    });
  }

  __device__ void DrawTag(int64_t i) {
    const PlacedObject& object = At(i);
    const Rect& tag = object.tag;
    const auto opacity = static_cast<uint8_t>(scene_.style.opacity);
    quad_.Draw(object.ink,
               [&](int64_t y, int64_t x) { return Contains(tag, y, x) ? opacity : uint8_t{0}; });
    const uint8_t* coverage = scene_.atlas.atlas.coverage;
    const Rect seen = Intersection(tag, tile_);
    uint8_t alphas[4] = {};
    for (int32_t k = 0; k < object.text_length; ++k) {
      const PlacedGlyph& glyph = scene_.buffers.glyphs[i * scene_.objects.label_length + k];
      const int64_t top = tag.top + glyph.top;
      const int64_t left = tag.left + scene_.style.margin + glyph.left;
      const Rect bitmap = Intersection({top, left, top + glyph.height, left + glyph.width}, seen);
      if (bitmap.empty()) continue;
      for (int p = 0; p < 4; ++p) {
        const int64_t y = quad_.rows[p / 2], x = quad_.columns[p % 2];
        if (!Contains(bitmap, y, x)) continue;
        const uint8_t alpha = coverage[glyph.offset + (y - top) * glyph.width + x - left];
        alphas[p] = alpha > alphas[p] ? alpha : alphas[p];
      }
    }
    quad_.Blend(object.text_ink, alphas);
  }

  __device__ uint8_t* Luma(int k) const {
    return scene_.picture.luma + quad_.rows[k / 2] * scene_.picture.luma_stride +
           quad_.columns[k % 2];
  }

  __device__ uint8_t* Chroma() const {
    return scene_.picture.chroma + quad_.rows[0] / 2 * scene_.picture.chroma_stride +
           quad_.columns[0] / 2 * 2;
  }

  __device__ void Load() {
    for (int k = 0; k < 4; ++k) before_[k] = quad_.luma[k] = *Luma(k);
    for (int c = 0; c < 2; ++c) before_[4 + c] = quad_.chroma[c] = Chroma()[c];
  }

  // What has not changed is not written.
  __device__ void Store() const {
    const Nv12Picture& picture = scene_.picture;
    if (y_ >= picture.height || x_ >= picture.width) return;
    for (int k = 0; k < 4; ++k) {
      const bool is_there = y_ + k / 2 < picture.height && x_ + k % 2 < picture.width;
      if (is_there && quad_.luma[k] != before_[k]) *Luma(k) = quad_.luma[k];
    }
    for (int c = 0; c < 2; ++c) {
      if (quad_.chroma[c] != before_[4 + c]) Chroma()[c] = quad_.chroma[c];
    }
  }

  const Scene& scene_;
  int64_t count_;
  int32_t* list_;
  int* warp_counts_;
  Rect tile_;
  int64_t y_, x_;
  Quad quad_;
  uint8_t before_[6];
};

__global__ void __launch_bounds__(kThreads) PaintKernel(Scene scene) {
  __shared__ int32_t list[kThreads];
  __shared__ int warp_counts[kWarps];
  TilePainter painter(scene, list, warp_counts);
  if (painter.IsTouched()) painter.Paint();
}

}  // namespace

int64_t AnnotateWorkspaceBytes(int64_t capacity, int64_t label_length) {
  Workspace workspace(nullptr);
  TakeBuffers(capacity, label_length, &workspace);
  return workspace.bytes();
}

cudaError_t Annotate(const Nv12Picture& picture, const Objects& objects,
                     const DeviceGlyphAtlas& atlas, const Style& style, void* buffer,
                     cudaStream_t stream) {
  if (objects.capacity == 0 || picture.height == 0 || picture.width == 0) return cudaSuccess;
  Workspace workspace(buffer);
  const Scene scene = {picture, objects, atlas, style,
                       TakeBuffers(objects.capacity, objects.label_length, &workspace)};
  const dim3 each(static_cast<unsigned>(objects.capacity));
  ROADMARK_RETURN_IF_ERROR(Launch(PrepareKernel, each, kWarpSize, stream, scene));
  ROADMARK_RETURN_IF_ERROR(Launch(PlaceTagsKernel, dim3(1), kWarpSize, stream, scene));
  const int64_t tiles =
      DivideUp(picture.height, 2 * kTileRows) * DivideUp(picture.width, 2 * kTileColumns);
  return Launch(PaintKernel, dim3(static_cast<unsigned>(tiles)), kThreads, stream, scene);
}

}  // namespace cuda
}  // namespace roadmark
