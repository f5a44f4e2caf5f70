"""Models: from a name to modules whose gradients can be computed.

In the order in which data flows:

``source``           hub id, folder, .gguf file or demo
``hub``              commits and small files of models on the hub
``gguf_parts``       the files of a .gguf model in parts
``fingerprint``      the identity of a model in row keys
``template_text``    the chat template as text, without a tokenizer
``tokenizer_files``  the files of a tokenizer, and which other takes the place of a missing one
``quantization``     how stored weights are quantized, and what dequantizes them
``dequantize``       plain weights from quantized ones
``adapters``         adapters of the peft library, on their base models
``whole_weights``    whether weight files are complete, from their headers
``find``             the pinned source of a model, with its tokenizer and the base of an adapter
``equal_weights``    models with the same weights under different names
``weights_notes``    what was done to the stored weights, in sentences
``refusals``         unsupported models
``files``            checks of weight files before loading
``gguf``             conversion of .gguf files
``gguf_merge``       the parts of a .gguf model in one file
``placement``        how a model is laid out on devices
``devices``          devices of the machine and of a model
``auto_class``       the class of transformers that loads a model
``load``             the model in memory
``private_weights``  weights apart from files that a training may rewrite
``roles``            names of linear layers by role
``layer_list``       the decoder layers of a model
``layer_types``      the types of layers in models that mix them
``places``           the linear layer of each role in an attention or MLP
``layer_places``     the same for a whole decoder layer
``latent_attention`` the factors of latent attention
``layouts``          columns of layers that hold several projections
``probe``            identification of these columns
``fused_layers``     layers that hold several projections, split
``experts``          the experts of a mixture, as modules store them
``mixtures``         router, experts and shared expert of a decoder layer
``heads``            numbers of attention heads
``projections``      all projections of a model
``evaluation``       a model in evaluation mode for a while
``hardware``         names of processors
``silence``          no progress bars from transformers
"""
