(** Translation of the Gaussian integral, derivatives under it, and means of exponentials to second order: the tools of Info.v. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Mixture B_small.
Local Open Scope R_scope.

(** ** Translation *)

Lemma upd_translate d a u x : vplus (upd d u x) a = upd d (vplus u a) (x + a d).
Proof.
  apply functional_extensionality. intros k. unfold vplus, upd. destruct (PeanoNat.Nat.eqb_spec k d) as [->|]; auto.
Qed.

Lemma tame_translate d a f : tame d f -> tame d (fun u => f (vplus u a)).
Proof.
  intros (A & B & HA & HB & HG & HL). pose proof (len_nonneg d a) as La.
  assert (T : forall u, len d (vplus u a) <= len d u + len d a).
  { intros u. unfold len. rewrite <- sumn_plus. apply sumn_le. intros k _. unfold vplus. apply Rabs_triang. }
  exists (A * exp (2 * B * len d a)), B. assert (0 < exp (2 * B * len d a)) by apply exp_pos.
  split; [apply Rmult_le_pos; lra|]. split; auto. split.
  - intros u. eapply Rle_trans; [apply HG|]. rewrite Rmult_assoc. apply Rmult_le_compat_l; auto. rewrite <- exp_plus. apply exp_le_mono.
    specialize (T u). assert (0 <= B * len d a) by (apply Rmult_le_pos; auto). nra.
  - intros u v. eapply Rle_trans; [apply HL|]. replace (len d (vminus (vplus u a) (vplus v a))) with (len d (vminus u v)).
    + apply Rmult_le_compat_r; [apply len_nonneg|]. rewrite Rmult_assoc. apply Rmult_le_compat_l; auto. rewrite <- exp_plus. apply exp_le_mono.
      pose proof (T u). pose proof (T v). nra.
    + unfold len. apply sumn_ext. intros k _. f_equal. unfold vminus, vplus. ring.
Qed.

Lemma E1_translate f c : tame1 (fun x => exp (c * x - c ^ 2 / 2) * f x) -> E1 (fun x => exp (c * x - c ^ 2 / 2) * f x) = E1 (fun x => f (x + c)).
Proof.
  intros T. unfold E1. f_equal. rewrite <- (RI_linear _ 1 c (tame1_adm _ T) Rlt_0_1). f_equal. apply functional_extensionality. intros x.
  unfold w. rewrite !Rmult_1_l. replace (exp (c * (x + c) - c ^ 2 / 2) * f (x + c) * exp (- ((x + c) ^ 2 / 2)))
    with (f (x + c) * (exp (c * (x + c) - c ^ 2 / 2) * exp (- ((x + c) ^ 2 / 2)))) by ring.
  rewrite <- exp_plus. do 2 f_equal. field.
Qed.

Lemma ratio_upd d a u x : ratio (S d) a (upd d u x) = exp (a d * x - a d ^ 2 / 2) * ratio d a u.
Proof.
  unfold ratio. rewrite <- exp_plus. f_equal. unfold dot, sq. rewrite (upd_sum d (fun k z => a k * z)). unfold dot. simpl. field.
Qed.

(** A mean under N(a, I) is a mean under N(0, I) of what is moved by a. *)
Theorem E_translate d a f : tame d f -> E d (fun u => ratio d a u * f u) = E d (fun u => f (vplus u a)).
Proof.
  revert f. induction d; intros f Hf.
  - simpl. unfold ratio, dot, sq, dot. simpl. replace (0 - 0 / 2) with 0 by field. rewrite exp_0, Rmult_1_l.
    destruct Hf as (A & B & _ & _ & _ & HL). specialize (HL (fun _ => 0) (vplus (fun _ => 0) a)). unfold len in HL. simpl in HL.
    rewrite Rmult_0_r in HL. pose proof (Rabs_pos (f (fun _ => 0) - f (vplus (fun _ => 0) a))).
    assert (Z : Rabs (f (fun _ => 0) - f (vplus (fun _ => 0) a)) = 0) by lra. apply Rabs_eq_0 in Z. lra.
  - cbn [E]. set (h := fun x => E d (fun u => f (upd d (vplus u a) x))).
    assert (Inner : forall x, E d (fun u => ratio (S d) a (upd d u x) * f (upd d u x)) = exp (a d * x - a d ^ 2 / 2) * h x).
    { intros x. rewrite (E_ext d _ (fun u => exp (a d * x - a d ^ 2 / 2) * (ratio d a u * f (upd d u x)))) by (intros; rewrite ratio_upd; ring).
      assert (Tx : tame d (fun u => f (upd d u x))) by (apply tame_section; auto).
      rewrite E_scal by (apply tame_mult; auto; apply tame_ratio). f_equal. apply (IHd (fun u => f (upd d u x)) Tx). }
    assert (T : tame1 (fun x => exp (a d * x - a d ^ 2 / 2) * h x)).
    { rewrite (functional_extensionality _ (fun x => E d (fun u => ratio (S d) a (upd d u x) * f (upd d u x)))) by (intros; symmetry; apply Inner).
      apply (proj2 (proj2 (proj2 (E_facts d))) (fun v => ratio (S d) a v * f v)). apply tame_mult; auto. apply tame_ratio. }
    rewrite (functional_extensionality (fun x => E d (fun u => ratio (S d) a (upd d u x) * f (upd d u x))) (fun x => exp (a d * x - a d ^ 2 / 2) * h x)) by apply Inner.
    rewrite E1_translate by auto. f_equal. apply functional_extensionality. intros x. unfold h. apply E_ext. intros u. rewrite upd_translate. auto.
Qed.

(** ** Derivatives under the expectation *)

Lemma E_abs_le d h b : tame d h -> tame d b -> (forall u, Rabs (h u) <= b u) -> Rabs (E d h) <= E d b.
Proof.
  intros Hh Hb H. apply Rabs_le. split.
  - replace (- E d b) with (-1 * E d b) by ring. rewrite <- E_scal by auto. apply E_le; auto; [apply tame_scal; auto|].
    intros u. specialize (H u). apply Rabs_le_between in H. lra.
  - apply E_le; auto. intros u. specialize (H u). apply Rabs_le_between in H. lra.
Qed.

(** An increment that is linear up to a quadratic error *)
Lemma derive_quadratic (f : R -> R) s l K : (forall h, Rabs h <= 1 -> Rabs (f (s + h) - f s - h * l) <= h ^ 2 * K) -> is_derive f s l.
Proof.
  intros H. assert (HK : 0 <= K). { specialize (H 1). rewrite Rabs_R1 in H. pose proof (Rabs_pos (f (s + 1) - f s - 1 * l)). lra. }
  apply is_derive_Reals. intros eps He. assert (Hd : 0 < Rmin 1 (eps / (K + 1))) by (apply Rmin_pos; [lra|apply Rdiv_lt_0_compat; lra]).
  exists (mkposreal _ Hd). simpl. intros h Hh Hlt. assert (H1 : Rabs h < 1) by (eapply Rlt_le_trans; [exact Hlt|apply Rmin_l]).
  assert (H2 : Rabs h < eps / (K + 1)) by (eapply Rlt_le_trans; [exact Hlt|apply Rmin_r]).
  specialize (H h ltac:(lra)). assert (Hp : 0 < Rabs h) by (apply Rabs_pos_lt; auto).
  replace ((f (s + h) - f s) / h - l) with ((f (s + h) - f s - h * l) / h) by (field; auto).
  unfold Rdiv. rewrite Rabs_mult, Rabs_inv. apply Rmult_lt_reg_r with (Rabs h); auto. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  apply Rmult_lt_compat_r with (r := K + 1) in H2; [|lra]. unfold Rdiv in H2. rewrite Rmult_assoc, Rinv_l, Rmult_1_r in H2 by lra.
  rewrite <- pow2_abs in H. nra.
Qed.

(** A mean of exponentials of a small multiple of f, to second order *)
Lemma lse_second n (q f : nat -> R) M h : weights n q -> (forall j, (j < n)%nat -> Rabs (f j) <= M) -> Rabs h <= 1 ->
  Rabs (ln (sumn n (fun j => q j * exp (h * f j))) - h * sumn n (fun j => q j * f j)) <= h ^ 2 * ((2 * M) ^ 2 * exp (2 * M)).
Proof.
  intros [Hq Hs] HM Hh. set (m := sumn n (fun j => q j * f j)). set (S := sumn n (fun j => q j * exp (h * f j))).
  assert (Hm : Rabs m <= M).
  { unfold m. eapply Rle_trans; [apply sumn_abs|]. apply Rle_trans with (sumn n (fun j => q j * M)); [|rewrite sumn_scal_r, Hs; lra].
    apply sumn_le. intros j Hj. rewrite Rabs_mult, (Rabs_right (q j)) by (apply Rle_ge; auto). apply Rmult_le_compat_l; auto. }
  assert (L : exp (h * m) <= S).
  { unfold S, m. rewrite <- sumn_scal. rewrite (sumn_ext n _ (fun i => q i * (h * f i))) by (intros; ring). apply exp_jensen; auto. }
  assert (Sp : 0 < S) by (pose proof (exp_pos (h * m)); lra).
  assert (L' : h * m <= ln S) by (rewrite <- (ln_exp (h * m)); apply ln_le_mono; auto; apply exp_pos).
  (* centred, the linear part drops out *)
  set (z := fun j => h * (f j - m)).
  assert (Z : sumn n (fun j => q j * z j) = 0).
  { unfold z. rewrite (sumn_ext n _ (fun j => h * (q j * f j) - h * m * q j)) by (intros; ring). rewrite sumn_minus, !sumn_scal, Hs. fold m. ring. }
  assert (Bz : forall j, (j < n)%nat -> Rabs (z j) <= Rabs h * (2 * M)).
  { intros j Hj. unfold z. rewrite Rabs_mult. apply Rmult_le_compat_l; [apply Rabs_pos|]. unfold Rminus. eapply Rle_trans; [apply Rabs_triang|].
    rewrite Rabs_Ropp. specialize (HM j Hj). lra. }
  assert (U : S = exp (h * m) * (1 + sumn n (fun j => q j * (exp (z j) - 1 - z j)))).
  { rewrite (sumn_ext n (fun j => q j * (exp (z j) - 1 - z j)) (fun j => q j * exp (z j) - q j - q j * z j)) by (intros; ring).
    rewrite !sumn_minus, Hs, Z. replace (1 + (sumn n (fun j => q j * exp (z j)) - 1 - 0)) with (sumn n (fun j => q j * exp (z j))) by ring.
    unfold S. rewrite <- sumn_scal. apply sumn_ext. intros j _. replace (exp (h * f j)) with (exp (h * m) * exp (z j)) by (rewrite <- exp_plus; f_equal; unfold z; ring). ring. }
  set (Q := sumn n (fun j => q j * (exp (z j) - 1 - z j))) in *.
  assert (HQ : Q <= h ^ 2 * ((2 * M) ^ 2 * exp (2 * M))).
  { unfold Q. apply Rle_trans with (sumn n (fun j => q j * (h ^ 2 * ((2 * M) ^ 2 * exp (2 * M))))); [|rewrite sumn_scal_r, Hs; lra].
    apply sumn_le. intros j Hj. apply Rmult_le_compat_l; auto. specialize (Bz j Hj). pose proof (Rabs_pos (z j)). pose proof (Rabs_pos h).
    assert (0 <= M) by (pose proof (Rabs_pos m); lra).
    eapply Rle_trans; [apply Rle_abs|]. eapply Rle_trans; [apply exp_second|]. rewrite <- (pow2_abs (z j)), <- (pow2_abs h).
    replace (Rabs h ^ 2 * ((2 * M) ^ 2 * exp (2 * M))) with ((Rabs h * (2 * M)) ^ 2 * exp (2 * M)) by ring.
    apply Rmult_le_compat; [apply pow2_ge_0|left; apply exp_pos|apply pow_incr; lra|apply exp_le_mono; nra]. }
  assert (HQ1 : 0 < 1 + Q). { rewrite U in Sp. pose proof (exp_pos (h * m)). nra. }
  assert (ln S <= h * m + Q). { rewrite U, ln_mult, ln_exp by (auto; apply exp_pos). pose proof (ln_le_sub (1 + Q) HQ1). lra. }
  apply Rabs_le. assert (0 <= h ^ 2 * ((2 * M) ^ 2 * exp (2 * M))) by (apply Rmult_le_pos; [apply pow2_ge_0|apply Rmult_le_pos; [apply pow2_ge_0|left; apply exp_pos]]). lra.
Qed.

Lemma Rabs_sum_dot d a b : Rabs (dot d a b) <= len d a * len d b.
Proof.
  unfold dot. eapply Rle_trans; [apply sumn_abs|]. unfold len at 2. rewrite <- sumn_scal. apply sumn_le. intros k Hk. rewrite Rabs_mult.
  apply Rmult_le_compat_r; [apply Rabs_pos|]. apply (sumn_term d (fun k => Rabs (a k))); auto. intros; apply Rabs_pos.
Qed.

(** A function that is near another one to second order has its derivative. *)
Lemma derive_close (f g : R -> R) s l K : is_derive g s l -> f s = g s -> (forall h, Rabs h <= 1 -> Rabs (f (s + h) - g (s + h)) <= h ^ 2 * K) -> is_derive f s l.
Proof.
  intros D H0 Q. assert (DZ : is_derive (fun t => f t - g t) s 0).
  { apply (derive_quadratic _ s 0 K). intros h Hh. specialize (Q h Hh). replace (f (s + h) - g (s + h) - (f s - g s) - h * 0) with (f (s + h) - g (s + h)) by (rewrite H0; ring). exact Q. }
  apply (is_derive_ext (fun t => g t + (f t - g t))); [intros; simpl; ring|].
  replace l with (plus l 0) by (unfold plus; simpl; ring). apply (is_derive_plus (K := R_AbsRing) (V := R_NormedModule) g (fun t => f t - g t)); auto.
Qed.

(** A mean under weights that are tilted by [exp(h f)], to second order in h *)
Lemma tilt_second n (q f c : nat -> R) M B h : weights n q -> (forall j, (j < n)%nat -> Rabs (f j) <= M) -> (forall j, (j < n)%nat -> Rabs (c j) <= B) -> Rabs h <= 1 ->
  let m := sumn n (fun j => q j * f j) in
  Rabs (sumn n (fun j => q j * exp (h * f j) * c j) / sumn n (fun j => q j * exp (h * f j)) - sumn n (fun j => q j * c j) - h * sumn n (fun j => q j * (f j - m) * c j))
  <= h ^ 2 * ((2 * M) ^ 2 * exp (2 * M) * (2 * B + 2 * M * B)).
Proof.
  intros [Hq Hs] HM HB Hh m. set (a := sumn n (fun j => q j * c j)). set (cov := sumn n (fun j => q j * (f j - m) * c j)).
  set (z := fun j => h * (f j - m)). set (E2 := (2 * M) ^ 2 * exp (2 * M)).
  assert (Mean : forall g L, (forall j, (j < n)%nat -> Rabs (g j) <= L) -> Rabs (sumn n (fun j => q j * g j)) <= L).
  { intros g L Hg. eapply Rle_trans; [apply sumn_abs|]. apply Rle_trans with (sumn n (fun j => q j * L)); [|rewrite sumn_scal_r, Hs; lra].
    apply sumn_le. intros j Hj. rewrite Rabs_mult, (Rabs_right (q j)) by (apply Rle_ge; auto). apply Rmult_le_compat_l; auto. }
  assert (Hm : Rabs m <= M) by (apply Mean; auto). assert (Ha : Rabs a <= B) by (apply Mean; auto).
  assert (M0 : 0 <= M) by (pose proof (Rabs_pos m); lra). assert (B0 : 0 <= B) by (pose proof (Rabs_pos a); lra).
  assert (HE : 0 <= E2) by (apply Rmult_le_pos; [apply pow2_ge_0|left; apply exp_pos]).
  assert (Bf : forall j, (j < n)%nat -> Rabs (f j - m) <= 2 * M) by (intros j Hj; unfold Rminus; eapply Rle_trans; [apply Rabs_triang|]; rewrite Rabs_Ropp; specialize (HM j Hj); lra).
  assert (Bz : forall j, (j < n)%nat -> Rabs (exp (z j) - 1 - z j) <= h ^ 2 * E2).
  { intros j Hj. eapply Rle_trans; [apply exp_second|]. unfold z. rewrite Rabs_mult. specialize (Bf j Hj). pose proof (Rabs_pos h). pose proof (Rabs_pos (f j - m)).
    replace ((h * (f j - m)) ^ 2) with (h ^ 2 * Rabs (f j - m) ^ 2) by (rewrite pow2_abs; ring). unfold E2. rewrite Rmult_assoc. apply Rmult_le_compat_l; [apply pow2_ge_0|].
    apply Rmult_le_compat; [apply pow2_ge_0|left; apply exp_pos|apply pow_incr; lra|apply exp_le_mono; nra]. }
  set (Z := sumn n (fun j => q j * exp (z j))). set (Q := sumn n (fun j => q j * (exp (z j) - 1 - z j))).
  assert (Z0 : sumn n (fun j => q j * z j) = 0).
  { unfold z. rewrite (sumn_ext n _ (fun j => h * (q j * f j) - h * m * q j)) by (intros; ring). rewrite sumn_minus, !sumn_scal, Hs. fold m. ring. }
  assert (EZ : Z = 1 + Q).
  { unfold Z, Q. rewrite (sumn_ext n (fun j => q j * (exp (z j) - 1 - z j)) (fun j => q j * exp (z j) - q j - q j * z j)) by (intros; ring). rewrite !sumn_minus, Hs, Z0. ring. }
  assert (Q0 : 0 <= Q). { unfold Q. apply sumn_nonneg. intros j Hj. apply Rmult_le_pos; auto. pose proof (exp_ge (z j)). lra. }
  assert (Q1 : Q <= h ^ 2 * E2). { eapply Rle_trans; [apply Rle_abs|]. apply Mean. auto. }
  set (P := sumn n (fun j => q j * ((exp (z j) - 1 - z j) * (c j - a)))).
  assert (HP : Rabs P <= h ^ 2 * E2 * (2 * B)).
  { apply Mean. intros j Hj. rewrite Rabs_mult. apply Rmult_le_compat; try apply Rabs_pos; auto.
    unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp. specialize (HB j Hj). lra. }
  assert (Hcov : Rabs cov <= 2 * M * B).
  { unfold cov. rewrite (sumn_ext n _ (fun j => q j * ((f j - m) * c j))) by (intros; ring). apply Mean. intros j Hj. rewrite Rabs_mult. apply Rmult_le_compat; try apply Rabs_pos; auto. }
  set (A := sumn n (fun j => q j * exp (z j) * c j)).
  assert (EA : A = a * Z + P + h * cov).
  { unfold A, P, cov. rewrite (sumn_ext n (fun j => q j * ((exp (z j) - 1 - z j) * (c j - a)))
      (fun j => q j * exp (z j) * c j - a * (q j * exp (z j)) - (q j * c j - a * q j) - (h * (q j * (f j - m) * c j) - a * (q j * z j)))) by (intros; unfold z; ring).
    rewrite !sumn_minus, !sumn_scal, Hs, Z0. fold A Z a. ring. }
  assert (Sh : forall g, sumn n (fun j => q j * exp (h * f j) * g j) = exp (h * m) * sumn n (fun j => q j * exp (z j) * g j)).
  { intros g. rewrite <- sumn_scal. apply sumn_ext. intros j _. replace (exp (h * f j)) with (exp (h * m) * exp (z j)) by (rewrite <- exp_plus; f_equal; unfold z; ring). ring. }
  rewrite (Sh c), (sumn_ext n (fun j => q j * exp (h * f j)) (fun j => q j * exp (h * f j) * 1)) by (intros; ring). rewrite (Sh (fun _ => 1)).
  rewrite (sumn_ext n (fun j => q j * exp (z j) * 1) (fun j => q j * exp (z j))) by (intros; ring). fold A Z.
  pose proof (exp_pos (h * m)) as X.
  replace (exp (h * m) * A / (exp (h * m) * Z) - a - h * cov) with ((P - h * cov * Q) / Z) by (rewrite EA, EZ; field; split; lra).
  unfold Rdiv. rewrite Rabs_mult, Rabs_inv, (Rabs_right Z) by lra.
  apply Rle_trans with (Rabs (P - h * cov * Q) * 1).
  - apply Rmult_le_compat_l; [apply Rabs_pos|]. rewrite <- Rinv_1. apply Rinv_le_contravar; lra.
  - rewrite Rmult_1_r. unfold Rminus. eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_Ropp, !Rabs_mult, (Rabs_right Q) by lra.
    assert (Rabs h * Rabs cov * Q <= 1 * (2 * M * B) * (h ^ 2 * E2)) by (apply Rmult_le_compat; auto; [apply Rmult_le_pos; apply Rabs_pos|apply Rmult_le_compat; auto; apply Rabs_pos]).
    replace (h ^ 2 * (E2 * (2 * B + 2 * M * B))) with (h ^ 2 * E2 * (2 * B) + 1 * (2 * M * B) * (h ^ 2 * E2)) by ring. lra.
Qed.
