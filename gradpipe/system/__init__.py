"""What the rest of the library needs from the operating system and from packages.

``atomic_files``   files that are written as a whole or not at all; names for processes
``atomic_folders`` folders that are replaced in one step
``control_groups`` the memory limits of a container
``extras``         optional packages and the extras that install them
``failures``       causes of failures, recognized from exceptions
``units``          quantities as text
``user_folders``   the user's cache and data folders
``remembered``     small results that are stored in the cache folder
``hashing``        content hashes
``cpu_settings``   environment variables of torch's CPU libraries
``pipeline_path``  where ``assets`` and ``storage`` are in an installed wheel
"""
