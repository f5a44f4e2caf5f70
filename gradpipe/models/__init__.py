"""Models: from a name to modules whose gradients can be computed.

In the order in which data flows:

``source``       hub id, folder, .gguf file or demo
``hub``          commits and small files of models on the hub
``fingerprint``  the identity of a model in row keys
``template_text`` the chat template as text, without a tokenizer
``quantization`` how stored weights are quantized, and what dequantizes them
``dequantize``   plain weights from quantized ones
``adapters``     adapters of the peft library, on their base models
``find``         the pinned source of a model, with the base of an adapter
``weights_notes`` what was done to the stored weights, in sentences
``refusals``     unsupported models
``files``        checks of weight files
``gguf``         conversion of .gguf files
``placement``    how a model is laid out on devices
``devices``      devices of the machine and of a model
``load``         the model in memory
``roles``        names of linear layers by role
``places``       the linear layer of each role in a decoder layer
``layouts``      columns of layers that hold several projections
``probe``        identification of these columns
``experts``      the experts of a mixture, as modules store them
``mixtures``     router, experts and shared expert of a decoder layer
``heads``        numbers of attention heads
``projections``  all projections of a model
``hardware``     names of processors
``silence``      no progress bars from transformers
"""
