# make demo    install into .venv and run both tasks on a photo, offline, with the bundled weights
# make test    install the test extra into .venv and run every check
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check test-slow sanitize cuda fuzz weights clean

demo: .venv/installed
	@mkdir -p demo
	$(BIN)/deform frontalize examples/three-quarter.jpg -o demo/frontal.png --exists overwrite --show-warp demo --offline
	$(BIN)/deform inpaint examples/astronaut.jpg --mask examples/scratches.png -o demo/inpainted.png --exists overwrite --offline
	@echo "The results are in $(CURDIR)/demo: frontal.png (from examples/three-quarter.jpg), inpainted.png (from examples/astronaut.jpg)"

test: .venv/tested
	$(MAKE) check

# Every check on an environment that has the test extra.
check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile

test-slow: .venv/tested
	$(BIN)/pytest -m slow

.venv/installed: pyproject.toml setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check .
	@touch $@

.venv/tested: pyproject.toml setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ .venv/installed

# The warp's C++, and its CUDA in the emulation, with every read and write checked (gcc), in a copy.
CHECKED := build/sanitize
sanitize: .venv/tested
	rm -rf $(CHECKED) && mkdir -p $(CHECKED) && cp -r src plugins tests docs pyproject.toml setup.py README.md $(CHECKED)
	cd $(CHECKED) && CFLAGS="$(SANITIZE)" CXXFLAGS="$(SANITIZE)" LDFLAGS="$(SANITIZE)" \
		$(CURDIR)/$(BIN)/python setup.py --quiet build_ext --inplace --force
	cd $(CHECKED) && CXXFLAGS="$(SANITIZE)" PYTHONPATH=src:plugins ASAN_OPTIONS=detect_leaks=0 \
		LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		$(CURDIR)/$(BIN)/python -m pytest -q tests/warp/test_forward.py tests/warp/test_native.py tests/warp/test_fill.py tests/warp/test_patchmatch.py tests/warp/test_shift_map.py \
		tests/warp/test_cuda_emulated.py -m "not slow" -k "not compiler and not compiles and not exports and not 32_bits"
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined

# On an NVIDIA GPU, with NVIDIA's compute-sanitizer: the warp's tests, its reads and writes, the tables.
cuda: .venv/tested
	$(BIN)/python -c "from deformcli.warp import cuda; usable, why = cuda.available(); raise SystemExit(0 if usable else why)"
	$(BIN)/pytest tests/warp
	compute-sanitizer --tool memcheck --error-exitcode 1 $(BIN)/pytest tests/warp -k "cuda and not emulated"
	$(BIN)/python benchmarks/warp.py --device cuda --save
	$(BIN)/python benchmarks/fill.py

# 2,400 broken picture files through a command, and 5,000 edits of whole ones through the decoder.
fuzz: .venv/tested
	$(BIN)/pytest -m slow tests/batch/test_fuzz.py --durations 2

# make weights PHOTOS=DIR ASSETS=DIR IDENTITY=FILE PERCEPTUAL=FILE    the bundled weights anew: docs/training.md
PHOTOS ?= photos
ASSETS ?= makehuman
IDENTITY ?= mobilefacenet.pth
PERCEPTUAL ?= vgg19_cd16x.pth
VIEWS ?= views:$(PHOTOS)/london-views?frontal=$(PHOTOS)/london&share=0.44
EVERYDAY ?= fairface:$(PHOTOS)/fairface?share=0.25
WORK ?= runs/weights
HEADS ?= --identities 2100 --views 8
TURNS ?= --views 36
FRONTALIZE ?=
FINETUNE ?=
INPAINT ?=

weights: $(WORK)/finetune/weights.safetensors $(WORK)/inpaint/weights.safetensors
	cp $(WORK)/finetune/weights.safetensors $(WORK)/frontalize-128.safetensors
	cp $(WORK)/inpaint/weights.safetensors $(WORK)/inpaint-128.safetensors
	$(BIN)/deform evaluate frontalize --data rotated:$(PHOTOS)/portraits --weights $(WORK)/frontalize-128.safetensors \
		--baseline copy --baseline mirror --identity mobilefacenet=$(WORK)/mobilefacenet.safetensors --html $(WORK)/frontalize.html
	$(BIN)/deform evaluate inpaint --data folder:$(PHOTOS)/portraits --weights $(WORK)/inpaint-128.safetensors --html $(WORK)/inpaint.html

$(WORK)/heads/index.jsonl:
	$(BIN)/deform synthesize heads --assets $(ASSETS) --out $(@D) --seed 1 --backgrounds $(PHOTOS)/street $(HEADS)

$(WORK)/portraits/index.jsonl $(WORK)/london/index.jsonl:
	$(BIN)/deform synthesize photos --data $(PHOTOS)/$(notdir $(@D)) --out $(@D) --yaw 90 $(TURNS)

$(WORK)/mobilefacenet.safetensors: PICKLE = $(IDENTITY)
$(WORK)/vgg19.safetensors: PICKLE = $(PERCEPTUAL)
$(WORK)/mobilefacenet.safetensors $(WORK)/vgg19.safetensors:
	@mkdir -p $(@D)
	$(BIN)/deform weights convert $(PICKLE) -o $@

$(WORK)/frontalize/weights.safetensors: $(WORK)/heads/index.jsonl $(WORK)/portraits/index.jsonl $(WORK)/london/index.jsonl \
		$(WORK)/mobilefacenet.safetensors
	$(BIN)/deform train frontalize --data "rendered:$(WORK)/portraits?share=0.6" --data "rendered:$(WORK)/london?share=0.2" \
		--data "rendered:$(WORK)/heads?share=0.2" --set identity_weights=$(WORK)/mobilefacenet.safetensors \
		--out $(@D) --resume auto $(FRONTALIZE)

$(WORK)/finetune/weights.safetensors: $(WORK)/frontalize/weights.safetensors $(WORK)/mobilefacenet.safetensors $(WORK)/vgg19.safetensors
	$(BIN)/deform train frontalize --preset finetune --init-from $< --data "$(VIEWS)" --data "$(EVERYDAY)" \
		--data "rotated:$(PHOTOS)/portraits?share=0.31" --set identity_weights=$(WORK)/mobilefacenet.safetensors \
		--set perceptual_weights=$(WORK)/vgg19.safetensors --out $(@D) --resume auto $(FINETUNE)

$(WORK)/inpaint/weights.safetensors: $(WORK)/heads/index.jsonl
	$(BIN)/deform train inpaint --data "folder:$(PHOTOS)/portraits?share=0.4" --data "folder:$(PHOTOS)/london?share=0.15" \
		--data "folder:$(PHOTOS)/street?share=0.35" --data "rendered:$(WORK)/heads?share=0.1" \
		--out $(@D) --resume auto $(INPAINT)

clean:
	rm -rf .venv build demo *.egg-info src/*.egg-info
